"""The system of docker-compose.yml, with its own names and ports."""

import secrets
import shutil
import uuid
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pika
import requests
from pika.exceptions import AMQPError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from standalone.programs import HOST
from testbed.echo import MODELS
from testbed.ports import free_port
from testbed.server import Server
from testbed.system import BRISK, Plan, System
from testbed.waiting import wait_for
from tests.compose.container import Container, ServerContainer
from tests.compose.engine import BASES, ROOT, TAG, Engine, run

GREEN_WITHIN_S: Final = 60.0
_UP_LIMIT_S: Final = 300
_DATABASE: Final = "darkroom"
_STANDINS: Final = Path(__file__).parent / "standins.yml"
# The stand-ins' volumes belong to other users than those of the public images.
_VOLUMES: Final = {"broker": ("rabbitmq", "/var/lib/rabbitmq"), "store": ("mongo", "/data/db")}
_SERVERS_USER: Final = "999:999"


class ComposeSystem(System):
    """nginx, api, consumers, couriers, RabbitMQ and MongoDB, each a container.

    Args:
        engine: Runs them.
        folder: Takes the settings, and the logs at the end.
        plan: How many there are, and what their settings are.
        models: The folder of models that they serve.
        others: Files of Compose beyond those that every system has.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        plan: Plan,
        *,
        models: Path = MODELS,
        others: tuple[Path, ...] = (),
    ) -> None:
        folder.mkdir(parents=True)
        self.engine = engine
        self.folder = folder
        self.project = f"darkroom-{uuid.uuid4().hex[:8]}"
        self.database_name = _DATABASE
        self.port, self.management_port = free_port(), free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.management_url = f"http://{HOST}:{self.management_port}"
        self.passwords = {"RABBITMQ": secrets.token_hex(16), "MONGO": secrets.token_hex(16)}
        self._plan = plan
        standins = (_STANDINS,) if engine.has_standins else ()
        files = [ROOT / "docker-compose.yml", *standins, *others]
        self._command = (
            *engine.compose,
            *("--project-name", self.project, "--env-file", str(folder / "env")),
            *(word for file in files for word in ("--file", str(file))),
        )
        self._write_settings(models)

    def _write_settings(self, models: Path) -> None:
        settings = {
            **BRISK,
            "DARKROOM_MODELS_DIR": "/app/models",
            **self._plan.settings,
            **{f"DARKROOM_{name}_PASSWORD": value for name, value in self.passwords.items()},
            "DARKROOM_TAG": TAG,
            "DARKROOM_PUBLISH": f"{HOST}:{self.port}",
            "DARKROOM_MANAGEMENT_PORT": str(self.management_port),
            "DARKROOM_MODELS_FOLDER": str(models),
            "DARKROOM_ENV_FILE": str(self.folder / "env"),
        }
        settings.setdefault("DARKROOM_RATE_LIMIT", "100000")
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        (self.folder / "env").write_text("".join(lines))

    def compose(self, *arguments: str, limit_s: float = _UP_LIMIT_S) -> str:
        """Run Compose on this system; return its output."""
        return run((*self._command, *arguments), limit_s=limit_s)

    def start(self) -> None:
        """Start everything, and wait until a job would be classified."""
        if self.engine.has_standins:
            self._give_volumes_away()
        self.scale(consumer=self._plan.consumers, courier=self._plan.couriers)
        self.wait_until_ready()
        self.wait_until_all_consume()

    def scale(self, **counts: int) -> None:
        """Scale services to that many containers."""
        options = [word for name, n in counts.items() for word in ("--scale", f"{name}={n}")]
        self.compose("up", "--detach", "--no-build", *options)
        self._look()

    def _look(self) -> None:
        """Find the running containers."""
        ids = self._ids()
        roles = {
            service: [Container(self.engine, service, one) for one in ids[service]]
            for service in ("api", "consumer", "courier", "nginx")
        }
        self.apis = roles["api"]
        self.api: Server = self.apis[0]
        self.consumers = list[Server](roles["consumer"])
        self.couriers = list[Server](roles["courier"])
        self.nginx: Server = roles["nginx"][0]
        login = "" if self.engine.has_standins else f"darkroom:{self.passwords['MONGO']}@"
        rabbitmq = ServerContainer(
            f"amqp://darkroom:{self.passwords['RABBITMQ']}@{{address}}:5672/%2F",
            *(self.engine, "rabbitmq", ids["rabbitmq"][0], self._broker_answers),
        )
        mongo = ServerContainer(
            f"mongodb://{login}{{address}}:27017/?directConnection=true",
            *(self.engine, "mongo", ids["mongo"][0], self._store_answers),
        )
        self.broker, self.store = rabbitmq, mongo  # type: ignore[assignment]  # no node of ours

    @property
    def containers(self) -> list[Container]:
        """All long-running containers, in starting order."""
        found = [self.broker, self.store, *self.roles, self.nginx]
        return [one for one in found if isinstance(one, Container)]

    @property
    def roles(self) -> list[Server]:
        return [*self.apis, *self.consumers, *self.couriers]

    def stop(self) -> dict[str, int | None]:
        """Stop and remove everything but the logs; return the roles' exit statuses."""
        try:
            self._look()
            with ThreadPoolExecutor() as pool:
                statuses = list(pool.map(lambda role: role.stop(), self.roles))
            names = [role.program.name for role in self.roles]
            return dict(zip(names, statuses, strict=True))
        finally:
            with suppress(AssertionError):
                (self.folder / "log").write_text(self.compose("logs", "--no-color"))
            self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def _give_volumes_away(self) -> None:
        for volume, (service, place) in _VOLUMES.items():
            self.engine.run(
                *("run", "--rm", "--user", "0", "--network", "none", "--entrypoint", "chown"),
                *("--label", f"com.docker.compose.project={self.project}"),
                *("--volume", f"{self.project}_{volume}:{place}", BASES[service]),
                *("-R", _SERVERS_USER, place),
            )

    def _ids(self) -> Mapping[str, list[str]]:
        """Return the ids of the containers of every service; Compose takes a second for one."""
        services: dict[str, list[str]] = defaultdict(list)
        listed = self.engine.run(
            *("ps", "--all", "--no-trunc"),
            *("--filter", f"label=com.docker.compose.project={self.project}"),
            *("--filter", "label=com.docker.compose.service"),
            *("--format", '{{.Label "com.docker.compose.service"}} {{.ID}}'),
        )
        for line in sorted(listed.splitlines()):
            service, container_id = line.split()
            services[service].append(container_id)
        return services

    @property
    def broker_url(self) -> str:
        return self.broker.url

    def _broker_answers(self) -> bool:
        with suppress(AMQPError, OSError):
            pika.BlockingConnection(pika.URLParameters(self.broker_url)).close()
            return True
        return False

    def _store_answers(self) -> bool:
        with (
            suppress(PyMongoError),
            MongoClient[dict[str, Any]](self.store.url, serverSelectionTimeoutMS=1000) as client,
        ):
            client.admin.command("ping")
            return True
        return False

    def manage(
        self, path: str, *, user: str = "darkroom", password: str | None = None
    ) -> requests.Response:
        """Call RabbitMQ's management API at its published port."""
        login = (user, password or self.passwords["RABBITMQ"])
        return requests.get(f"{self.management_url}/api/{path}", auth=login, timeout=30)

    def wait_until_green(self) -> None:
        """Wait until every health check says that its container is healthy."""
        wait_for(
            lambda: all(container.health == "healthy" for container in self.containers),
            within_s=GREEN_WITHIN_S,
            what="all health checks are green",
        )
