"""A complete system with its own ports, broker, store and roles, which can be harmed one by one."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pymongo import MongoClient
from pymongo.database import Database

from standalone import roles
from standalone.programs import HOST, Program, Stage
from standalone.rabbitmq import StandaloneRabbitMQ
from testbed.broker import Broker, consumer_count, make_node
from testbed.client import Client
from testbed.disks import SmallDisk, see_mounts_alone
from testbed.echo import MODELS
from testbed.namespaces import Namespace
from testbed.parts import api_socket, make_nginx, make_store, role_settings
from testbed.server import Server
from testbed.waiting import wait_for

_READY_WITHIN_S: Final = 180
_BLOCKED_S: Final = 10
_DISK_ALARM_MIB: Final = 40
# The store's disk is not watched: it is often on another machine.
_BROKER_DISK: Final = "rabbitmq/mnesia"
_WATCHED: Final = {_BROKER_DISK}
# Shorter than the defaults, so that a drill waits seconds where a service has half a minute.
BRISK: Final[Mapping[str, str]] = {
    "DARKROOM_MODELS": "echo",
    "DARKROOM_MODELS_DIR": str(MODELS),
    "DARKROOM_LEASE_S": "3",
    "DARKROOM_PUBLISH_AFTER_S": "1",
    "DARKROOM_STORE_TIMEOUT_S": "1",
    "DARKROOM_GRACE_S": "5",
    "DARKROOM_JOB_TIME_LIMIT_S": "10",
    "DARKROOM_AMQP_HEARTBEAT_S": "2",
    # A drill kills more often than a bad job deserves attempts.
    "DARKROOM_MAX_ATTEMPTS": "20",
}
# For drills in which no lease needs to expire. With a short one, a message seems to be lost if its
# consumer cannot claim the job in time, because the machine is busy or the engine is loading.
CALM: Final[Mapping[str, str]] = {"DARKROOM_LEASE_S": "60"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a system consists of.

    Args:
        consumers: How many there are.
        couriers: How many there are.
        settings: Beyond those that all drills share.
        disks: Folders that are disks of their own, and how many MiB they have.
        first: Modules that every role imports before anything of its own.
        has_own_broker: Whether RabbitMQ runs for it alone, so that it may be harmed.
    """

    consumers: int = 1
    couriers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    disks: Mapping[str, int] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    has_own_broker: bool = False


class System:
    """nginx, api, consumers, couriers, RabbitMQ and a store, with all they write in *folder*.

    Args:
        folder: Must not exist.
        plan: What the system consists of.
        node: A RabbitMQ that runs, where it gets a virtual host; None: it runs its own.
    """

    def __init__(self, folder: Path, plan: Plan, *, node: StandaloneRabbitMQ | None = None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._plan = plan
        self.disks: dict[str, SmallDisk] = {}
        self.node = node or make_node(folder / "rabbitmq", **_disk_alarm(plan))
        self.broker = Broker(self.node, log=folder / "rabbitmq.log")
        self._shares_broker = node is not None
        self._amqp_url = self.broker.empty_vhost() if self._shares_broker else self.broker.url
        port_mapper = self._server(self.node.programs()[0])
        self._rabbitmq = [] if self._shares_broker else [port_mapper, self.broker]
        store = make_store(folder / "store")
        self.store_port = store.port
        self.store = self._server(store.program(), store.url)
        nginx = make_nginx(folder)
        self.nginx = self._server(nginx.program())
        self.url = f"http://{HOST}:{nginx.port}"
        self.environment = self._role_settings()
        self.database_name = self.environment["DARKROOM_MONGO_DATABASE"]
        self._grace_s = float(self.environment["DARKROOM_GRACE_S"])
        self.api = self._role(
            roles.api(api_socket(folder), self.environment, grace_s=self._grace_s)
        )
        self.consumers = [
            self._role(program)
            for program in roles.consumers(plan.consumers, self.environment, grace_s=self._grace_s)
        ]
        courier = roles.courier(self.environment, grace_s=self._grace_s)
        self.couriers = [
            self._role(replace(courier, name=f"courier-{number}"))
            for number in range(1, plan.couriers + 1)
        ]

    @property
    def roles(self) -> list[Server]:
        return [self.api, *self.consumers, *self.couriers]

    @property
    def servers(self) -> list[Server]:
        """All that it runs, in the order in which it starts."""
        return [*self._rabbitmq, self.store, *self.roles, self.nginx]

    def start(self) -> None:
        """Start all of it, and wait until a job would be classified.

        Raises:
            NoMountsError: It is to have disks of its own, and cannot here.
        """
        if self._plan.disks:
            see_mounts_alone()
        for name, mib in self._plan.disks.items():
            self.disks[name] = SmallDisk.mounted_at(self.folder / name, mib=mib)
        for server in self.servers:
            server.launch()
            if server.program.stage is Stage.PORT_MAPPER:  # RabbitMQ would start one of its own
                server.wait_until_ready()
        for server in self.servers:
            server.wait_until_ready()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        client = Client(self.url)
        wait_for(client.is_ready, within_s=_READY_WITHIN_S, what="the system is ready")

    def stop(self) -> dict[str, int | None]:
        """Stop what runs; return the exit statuses of our roles, by name."""
        statuses = {server: _stopped(server) for server in reversed(self.servers)}
        if self._shares_broker:
            self.broker.delete_vhost(self._amqp_url)
        for disk in self.disks.values():
            disk.unmount()
        return {server.program.name: statuses[server] for server in self.roles}

    def remove(self) -> None:
        """Delete everything that the system wrote."""
        shutil.rmtree(self.folder)

    def another_consumer(
        self,
        name: str,
        *,
        settings: Mapping[str, str] | None = None,
        first: tuple[str, ...] = (),
        inside: Namespace | None = None,
    ) -> Server:
        """Add one more consumer without starting it.

        Args:
            name: What it is called, also its log.
            settings: Beyond those that all have.
            first: Modules that it imports before anything of its own.
            inside: The network that it runs in.
        """
        environment = self.environment | dict(settings or {})
        [program] = roles.consumers(1, environment, grace_s=self._grace_s)
        consumer = self._role(replace(program, name=name), first=first)
        if inside is not None:
            command = inside.command(*consumer.program.command)
            consumer.program = replace(consumer.program, command=command)
        self.consumers.append(consumer)
        return consumer

    def wait_until_all_consume(self) -> None:
        """Wait until RabbitMQ would deliver to every consumer."""
        with self.channel() as channel:
            wait_for(
                lambda: consumer_count(channel) == len(self.consumers),
                within_s=_READY_WITHIN_S,
                what=f"all {len(self.consumers)} consumers consume",
            )

    def owner_of(self, job: Mapping[str, Any]) -> Server:
        """Find the consumer that holds a job, by its document."""
        [owner] = self.owners_of([job])
        return owner

    def owners_of(self, jobs: Iterable[Mapping[str, Any]]) -> list[Server]:
        """Find the consumers that hold any of *jobs* and live."""
        names = {job["owner"] for job in jobs}
        return [one for one in self.consumers if any(map(one.calls_itself, names))]

    @contextmanager
    def database(self) -> Iterator[Database[dict[str, Any]]]:
        """Open the store directly, as an operator would."""
        with MongoClient[dict[str, Any]](
            self.store.url, tz_aware=True, serverSelectionTimeoutMS=5000, socketTimeoutMS=30_000
        ) as client:
            yield client[self.database_name]

    @property
    def broker_url(self) -> str:
        """The address of RabbitMQ, with its user and virtual host."""
        return self._amqp_url

    @contextmanager
    def channel(self, *, heartbeat_s: int = 0) -> Iterator[BlockingChannel]:
        """Open a channel to RabbitMQ directly.

        Args:
            heartbeat_s: Bounds how long a RabbitMQ that says nothing is waited for. 0 where a
                drill does something else meanwhile: nobody would serve the heartbeats.
        """
        parameters = pika.URLParameters(self.broker_url)
        parameters.heartbeat = heartbeat_s
        parameters.blocked_connection_timeout = _BLOCKED_S  # an alarm holds no drill for ever
        with pika.BlockingConnection(parameters) as connection:
            yield connection.channel()

    def _role_settings(self) -> dict[str, str]:
        watched = (str(self.folder / name) for name in self._plan.disks if name in _WATCHED)
        shared = role_settings(
            self.folder,
            amqp_url=self._amqp_url,
            mongo_url=self.store.url,
            DARKROOM_DISKS=os.pathsep.join(watched),
        )
        return {**shared, **BRISK, **self._plan.settings}

    def _role(self, program: Program, *, first: tuple[str, ...] = ()) -> Server:
        command = _importing((*self._plan.first, *first), program.command)
        return self._server(replace(program, command=command))

    def _server(self, program: Program, url: str = "") -> Server:
        return Server(program, url, log=self.folder / f"{program.name}.log")


def _disk_alarm(plan: Plan) -> dict[str, int]:
    return {"disk_free_limit_mb": _DISK_ALARM_MIB} if _BROKER_DISK in plan.disks else {}


def _stopped(server: Server) -> int | None:
    """Stop *server*, by force if need be; return its exit status."""
    with suppress(subprocess.TimeoutExpired):
        return server.stop()
    return -signal.SIGKILL


def _importing(modules: tuple[str, ...], command: tuple[str, ...]) -> tuple[str, ...]:
    """Make a role import *modules* first."""
    if not modules:
        return command
    match command:
        case (python, "-m", module):
            first = (
                f"import runpy, sys, {', '.join(modules)}; sys.argv[1:] = []; "
                f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
            )
            return (python, "-c", first)
        case uwsgi:
            return (*uwsgi, *(word for module in modules for word in ("--import", module)))
