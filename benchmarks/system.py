"""Systems to measure: real servers and roles, with their own ports and folders."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pika

from benchmarks import material
from benchmarks.plan import Configuration
from common.rabbitmq.topology import QUEUE
from embedded import roles
from embedded.nginx import EmbeddedNginx
from embedded.programs import HOST, Program
from embedded.rabbitmq import EmbeddedRabbitMQ
from embedded.readiness import ask
from embedded.settings import EmbeddedSettings
from embedded.sockets import socket_path
from embedded.store import EmbeddedStore
from testbed.broker import Broker
from testbed.ports import free_port
from testbed.server import Server

DATABASE: Final = "bench"
_READY_WITHIN_S: Final = 300.0  # a first start exports its model
_LOOK_AGAIN_S: Final = 0.02
_OK: Final = 200


class System:
    """nginx, the API, a courier and a store on a virtual host of a broker; consumers come and go.

    Args:
        folder: Takes all that is written.
        broker: A RabbitMQ node that runs.
        settings: Of the roles, beyond the environment's own ``DARKROOM_...``.
        amqp_url: Where the roles reach the broker; empty: on a virtual host of its own.
    """

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        settings: Mapping[str, str],
        *,
        amqp_url: str = "",
    ) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.broker = broker
        self.amqp_url = amqp_url or broker.empty_vhost()
        self.store = EmbeddedStore(folder=folder / "store", port=free_port())
        self.store.prepare()
        self._api_socket = socket_path(folder / "run" / "api.sock")
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.environment = {
            "DARKROOM_AMQP_URL": self.amqp_url,
            "DARKROOM_MONGO_URL": self.store.url,
            "DARKROOM_MONGO_DATABASE": DATABASE,
            "DARKROOM_STATE_DIR": str(folder),
            **settings,
        }
        self._settings = EmbeddedSettings()
        self._servers: dict[str, list[Server]] = {"rabbitmq": [broker]}

    def reach_store_at(self, port: int) -> None:
        """Have the roles that are started from now on reach the store at *port*."""
        self.environment["DARKROOM_MONGO_URL"] = f"mongodb://{HOST}:{port}"

    @property
    def pids(self) -> dict[str, list[int]]:
        """The process ids by role, of whatever runs now."""
        return {
            role: [server.pid for server in servers if server.is_running]
            for role, servers in self._servers.items()
        }

    @contextmanager
    def running_servers(self, *, with_courier: bool = True) -> Iterator[None]:
        """Run everything but consumers until the end of the block."""
        programs = [self.store.program(), self.api(), self.nginx()]
        if with_courier:
            programs.append(self.courier())
        with ExitStack() as stack:
            for program in programs:
                stack.enter_context(self.running(program))
            wait_for(lambda: ask(self.port, "/healthz")[0] == _OK, what="the API answers")
            yield

    @contextmanager
    def running(self, program: Program, *, name: str = "") -> Iterator[Server]:
        """Run one program until the end of the block; yield once it is ready."""
        name = name or program.name
        server = Server(program, log=self.log(name))
        with kept_running(server):
            self._servers.setdefault(program.role, []).append(server)
            try:
                yield server
            finally:
                self._servers[program.role].remove(server)

    @contextmanager
    def consuming(self, configuration: Configuration) -> Iterator[list[Server]]:
        """Run consumers until the end of the block; yield once RabbitMQ delivers to all."""
        with ExitStack() as stack:
            servers = [
                stack.enter_context(self.running(program))
                for program in self.consumers(configuration)
            ]
            wait_for(
                lambda: self._consumer_count() >= len(servers), what=f"{configuration} consumes"
            )
            yield servers

    def log(self, name: str) -> Path:
        """Return the file that takes what a program prints."""
        return self._folder / f"{name}.log"

    def api(self) -> Program:
        return roles.api(self._api_socket, self.environment, grace_s=self._settings.grace_s)

    def courier(self) -> Program:
        return roles.courier(self.environment, grace_s=self._settings.grace_s)

    def consumers(self, configuration: Configuration) -> list[Program]:
        return roles.consumers(
            configuration.consumers,
            self.environment | _settings_of(configuration, self.environment["DARKROOM_MODELS"]),
            grace_s=self._settings.grace_s,
        )

    def nginx(self) -> Program:
        nginx = EmbeddedNginx(
            folder=self._folder / "nginx",
            port=self.port,
            api_socket=self._api_socket,
            max_body_bytes=self._settings.max_body_bytes,
        )
        nginx.prepare()
        return nginx.program()

    def _consumer_count(self) -> int:
        with pika.BlockingConnection(pika.URLParameters(self.broker_url)) as connection:
            declared = connection.channel().queue_declare(QUEUE, passive=True)
            count: int = declared.method.consumer_count
            return count

    @property
    def broker_url(self) -> str:
        """The virtual host as this process reaches it."""
        vhost = self.amqp_url.rpartition("/")[2]
        return self.broker.url.removesuffix("%2F") + vhost


def model_of(configuration: Configuration, model: str) -> str:
    """Return the name by which jobs ask for the model *model* of that service."""
    return material.EAGER if configuration.runtime == "eager" else model


def _settings_of(configuration: Configuration, models: str) -> dict[str, str]:
    model, *_ = models.split(",")
    settings = {
        "DARKROOM_MODELS": model_of(configuration, model),
        "DARKROOM_ENGINES": str(configuration.engines),
        "DARKROOM_BATCH_SIZE": str(configuration.batch),
    }
    if configuration.runtime != "eager":
        settings["DARKROOM_RUNTIME"] = configuration.runtime
    return settings


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """Run a RabbitMQ node until the end of the block."""
    folder.mkdir(parents=True)
    node = EmbeddedRabbitMQ(
        folder=folder,
        amqp_port=free_port(),
        management_port=free_port(),
        dist_port=free_port(),
        epmd_port=free_port(),
    )
    node.prepare()
    port_mapper, _ = node.programs()
    broker = Broker(node, log=folder / "rabbitmq.log")
    with kept_running(Server(port_mapper)), kept_running(broker):
        yield broker


@contextmanager
def running_system(
    folder: Path, settings: Mapping[str, str], *, with_courier: bool = True
) -> Iterator[System]:
    """Run a system with a broker of its own, all but its consumers."""
    with running_broker(folder / "rabbitmq") as broker:
        system = System(folder / "system", broker, settings)
        with system.running_servers(with_courier=with_courier):
            yield system


@contextmanager
def kept_running(server: Server) -> Iterator[Server]:
    """Run *server* until the end of the block; then it is gone, whatever it was doing."""
    try:
        server.start()
        yield server
    finally:
        end(server)


def end(server: Server) -> None:
    """Stop *server*, or kill it if it does not end in its time."""
    process = server.process
    try:
        server.stop()
    except subprocess.TimeoutExpired:
        if process is not None:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], bool], *, what: str) -> None:
    """Wait until *condition* holds.

    Raises:
        TimeoutError: It does not.
    """
    deadline_s = time.monotonic() + _READY_WITHIN_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not after {_READY_WITHIN_S:g} s: {what}")
        time.sleep(_LOOK_AGAIN_S)


def settings_for(model: str, folder: Path) -> dict[str, str]:
    """Return the settings of a service with a model of *folder*, and that by eager torch."""
    where = material.places(folder)
    return {
        "DARKROOM_MODELS": f"{model},{material.EAGER}",
        "DARKROOM_MODELS_DIR": str(where.models),
        "DARKROOM_WEIGHTS_DIR": str(where.weights),
    }


def cores_in_use() -> int:
    """Return on how many cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
