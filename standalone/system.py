"""The whole system: its programs, and how they are started and stopped."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from standalone import roles
from standalone.addresses import Addresses
from standalone.console import say
from standalone.errors import CannotStartError
from standalone.nginx import StandaloneNginx
from standalone.ports import refuse_taken_ports
from standalone.programs import Program, Stage
from standalone.rabbitmq import StandaloneRabbitMQ
from standalone.readiness import ask
from standalone.remembered import keep_settings
from standalone.settings import ROOT, StandaloneSettings
from standalone.sockets import socket_path
from standalone.store import StandaloneStore
from standalone.supervision import Supervisor

_PAUSE_S: Final = 0.05
_READINESS_PAUSE_S: Final = 0.2  # each time is a line in the access log
_LOG_LINES: Final = 15
# Added to the time that an engine may take: to connect, and to be noticed.
_CONSUMER_MARGIN_S: Final = 30


@dataclass(frozen=True)
class System:
    """All programs that *settings* ask for."""

    settings: StandaloneSettings
    supervisor: Supervisor

    @cached_property
    def rabbitmq(self) -> StandaloneRabbitMQ | None:
        if not self.settings.runs_own_rabbitmq:
            return None
        return StandaloneRabbitMQ(
            folder=self._state / "rabbitmq",
            amqp_port=self.settings.amqp_port,
            management_port=self.settings.management_port,
            dist_port=self.settings.dist_port,
            epmd_port=self.settings.epmd_port,
            disk_free_limit_mb=self.settings.broker_alarm_mb,
        )

    @cached_property
    def store(self) -> StandaloneStore | None:
        if not self.settings.runs_own_mongo:
            return None
        return StandaloneStore(folder=self._state / "store", port=self.settings.mongo_port)

    @cached_property
    def api_socket(self) -> Path:
        """The socket of uWSGI, for nginx alone: a port would be open to all users."""
        return socket_path(self._state / "run" / "api.sock")

    @cached_property
    def nginx(self) -> StandaloneNginx:
        return StandaloneNginx(
            folder=self._state / "nginx",
            port=self.settings.port,
            api_socket=self.api_socket,
            connection_limit=self.settings.connection_limit,
            max_body_bytes=self.settings.max_body_bytes,
            rate_limit=self.settings.rate_limit,
            trusted_proxy=self.settings.trusted_proxy,
        )

    def start(self) -> None:
        """Start everything, and return when a submitted job would be classified.

        Raises:
            CannotStartError: It cannot start. The supervisor may run already.
        """
        programs = self._prepared_programs()
        # nginx's first: people know that port.
        refuse_taken_ports(port for program in reversed(programs) for port in program.ports)
        self.supervisor.launch(programs)
        self.addresses.keep()
        keep_settings(self.settings)
        for stage in Stage:
            for program in programs:
                if program.needed_by is stage:
                    self._wait_for(program)
            self._start_stage(stage, [one.name for one in programs if one.stage is stage])
        self._wait_for_a_consumer()

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            port=self.settings.port,
            management=self.rabbitmq.management if self.rabbitmq else None,
            mongo_url=self._mongo_url,
            mongo_database=self.settings.mongo_database,
        )

    @property
    def _mongo_url(self) -> str:
        return self.store.url if self.store else self.settings.mongo_url.get_secret_value()

    def _prepared_programs(self) -> list[Program]:
        programs: list[Program] = []
        if self.rabbitmq:
            self.rabbitmq.prepare()
            programs += self.rabbitmq.programs()
        if self.store:
            self.store.prepare()
            programs.append(self.store.program())
        self.nginx.prepare()
        environment, grace_s = self._role_environment, self.settings.grace_s
        return [
            *programs,
            *roles.consumers(self.settings.consumers, environment, grace_s=grace_s),
            roles.courier(environment, grace_s=grace_s),
            roles.api(self.api_socket, environment, grace_s=grace_s),
            self.nginx.program(),
        ]

    @property
    def _role_environment(self) -> Mapping[str, str]:
        environment = {
            "DARKROOM_STATE_DIR": str(self._state),
            "DARKROOM_WEIGHTS_DIR": str(self.settings.weights_folder),
            "DARKROOM_MODELS_DIR": str(ROOT / self.settings.models_dir),
            "DARKROOM_DISKS": self.settings.disks or self._disks,
            "DARKROOM_CORES": str(self.settings.cores_per_consumer),
        }
        if self.rabbitmq:
            environment["DARKROOM_AMQP_URL"] = self.rabbitmq.url
        if self.store:
            environment["DARKROOM_MONGO_URL"] = self.store.url
        return environment

    @property
    def _disks(self) -> str:
        """Return the folders that accepted jobs are written to: each may be on its own disk."""
        servers = [one.folder for one in (self.store, self.rabbitmq) if one is not None]
        return os.pathsep.join(map(str, (self._state, *servers)))

    def _start_stage(self, stage: Stage, names: Sequence[str]) -> None:
        if names:
            say("starting " + ", ".join(names))
            self.supervisor.start(stage)

    def _wait_for(self, program: Program) -> None:
        deadline = time.monotonic() + program.ready_within_s
        while not program.is_ready():
            self._refuse_failing_programs()
            if time.monotonic() > deadline:
                raise self._failure(program.name, f"is not ready after {program.ready_within_s} s")
            time.sleep(_PAUSE_S)

    def _wait_for_a_consumer(self) -> None:
        deadline = time.monotonic() + self.settings.engine_start_limit_s + _CONSUMER_MARGIN_S
        while True:
            status, answer = ask(self.settings.port, "/readyz")
            if status == HTTPStatus.OK or _lacks_only_storage(answer):
                return
            self._refuse_failing_programs()
            self._refuse_unavailable_models()
            if time.monotonic() > deadline:
                raise self._failure("consumer-1", f"is not ready: {answer.get('detail')}")
            time.sleep(_READINESS_PAUSE_S)

    def _refuse_failing_programs(self) -> None:
        processes = self.supervisor.processes()
        if not processes:
            raise CannotStartError("the system was stopped while it started")
        for process in processes:
            if process.is_failing:
                raise self._failure(process.name, "exited at its start")

    def _refuse_unavailable_models(self) -> None:
        _, answer = ask(self.settings.port, "/models")
        models = answer.get("models", [])
        reasons = [f"{one['name']}: {one['reason']}" for one in models if one.get("reason")]
        if models and len(reasons) == len(models):
            raise CannotStartError(f"no model can be served: {'; '.join(reasons)}")

    def _failure(self, name: str, what: str) -> CannotStartError:
        log = self._state / "log" / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        tail = "".join(f"\n  | {line}" for line in lines[-_LOG_LINES:])
        return CannotStartError(f"{name} {what}. The end of {log}:{tail}")

    @property
    def _state(self) -> Path:
        return self.settings.state_folder


def _lacks_only_storage(answer: Mapping[str, Any]) -> bool:
    """Return whether only space is missing: results can be read, and space may come back."""
    checks = answer.get("checks", {})
    return "storage" in checks and all(
        state == "ok" for name, state in checks.items() if name != "storage"
    )
