"""Systems to measure: real servers and roles, with their own ports and folders."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pika

from benchmarks import material
from benchmarks.plan import Configuration
from standalone import roles
from standalone.programs import HOST, Program
from standalone.readiness import ask
from standalone.settings import StandaloneSettings
from testbed.broker import Broker, consumer_count, make_node
from testbed.parts import make_nginx, make_store, role_settings
from testbed.server import Server, kept_running
from testbed.waiting import wait_for

DATABASE: Final = "bench"
_READY_WITHIN_S: Final = 300.0  # a first start exports its model


class System:
    """nginx, the API, a courier and a store on a virtual host of a broker; consumers come and go.

    Args:
        folder: Takes all that is written.
        broker: A RabbitMQ node that runs.
        settings: Of the roles, beyond the environment's own ``DARKROOM_...``.

    ``environment`` is given to the roles that are started from now on.
    """

    def __init__(self, folder: Path, broker: Broker, settings: Mapping[str, str]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._grace_s = StandaloneSettings().grace_s
        self._servers: dict[str, list[Server]] = {"rabbitmq": [broker]}
        self.amqp_url = broker.empty_vhost()
        self.store = make_store(folder / "store")
        self.nginx = make_nginx(folder)
        self.url = f"http://{HOST}:{self.nginx.port}"
        shared = role_settings(folder, amqp_url=self.amqp_url, mongo_url=self.store.url)
        self.environment = {**shared, "DARKROOM_MONGO_DATABASE": DATABASE, **settings}

    @property
    def programs(self) -> dict[str, Program]:
        """What runs beside consumers, by role, in the order in which it starts."""
        return {
            "store": self.store.program(),
            "nginx": self.nginx.program(),
            "api": roles.api(self.nginx.api_socket, self.environment, grace_s=self._grace_s),
            "courier": roles.courier(self.environment, grace_s=self._grace_s),
        }

    def consumers(self, configuration: Configuration) -> list[Program]:
        model, *_ = self.environment["DARKROOM_MODELS"].split(",")
        settings = {
            "DARKROOM_MODELS": model_of(configuration, model),
            "DARKROOM_ENGINES": str(configuration.engines),
            "DARKROOM_BATCH_SIZE": str(configuration.batch),
        }
        if configuration.runtime != "eager":
            settings["DARKROOM_RUNTIME"] = configuration.runtime
        return roles.consumers(
            configuration.consumers, self.environment | settings, grace_s=self._grace_s
        )

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
        with ExitStack() as stack:
            for role, program in self.programs.items():
                if with_courier or role != "courier":
                    stack.enter_context(self.running(program))
            wait_for(self.answers, within_s=_READY_WITHIN_S, what="the API answers")
            yield

    def answers(self) -> bool:
        return ask(self.nginx.port, "/healthz")[0] == HTTPStatus.OK

    @contextmanager
    def running(self, program: Program) -> Iterator[Server]:
        """Run one program until the end of the block; yield once it is ready."""
        with kept_running(Server(program, log=self.log(program.name))) as server:
            self._servers.setdefault(program.role, []).append(server)
            try:
                yield server
            finally:
                self._servers[program.role].remove(server)

    @contextmanager
    def consuming(self, configuration: Configuration) -> Iterator[None]:
        """Run consumers until the end of the block; yield once RabbitMQ delivers to all."""
        with ExitStack() as stack:
            for program in self.consumers(configuration):
                stack.enter_context(self.running(program))
            wait_for(
                lambda: self._consumer_count() >= configuration.consumers,
                within_s=_READY_WITHIN_S,
                what=f"{configuration} consumes",
            )
            yield

    def log(self, name: str) -> Path:
        """Return the file that takes what a program prints."""
        return self._folder / f"{name}.log"

    def _consumer_count(self) -> int:
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            return consumer_count(connection.channel())


def model_of(configuration: Configuration, model: str) -> str:
    """Return the name by which jobs ask for the model *model* of that service."""
    return material.EAGER if configuration.runtime == "eager" else model


def settings_for(model: str, folder: Path) -> dict[str, str]:
    """Return the settings of a service with a model of *folder*, and that by eager torch."""
    where = material.paths(folder)
    return {
        "DARKROOM_MODELS": f"{model},{material.EAGER}",
        "DARKROOM_MODELS_DIR": str(where.models),
        "DARKROOM_WEIGHTS_DIR": str(where.weights),
    }


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """Run a RabbitMQ node until the end of the block."""
    folder.mkdir(parents=True)
    node = make_node(folder)
    port_mapper, _ = node.programs()
    broker = Broker(node, log=folder / "rabbitmq.log")
    with kept_running(Server(port_mapper)), kept_running(broker):
        yield broker


@contextmanager
def running_system(folder: Path, settings: Mapping[str, str]) -> Iterator[System]:
    """Run a system with a broker of its own, all but its consumers."""
    with running_broker(folder / "rabbitmq") as broker:
        system = System(folder / "system", broker, settings)
        with system.running_servers():
            yield system
