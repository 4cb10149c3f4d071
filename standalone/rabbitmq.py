"""A RabbitMQ node of our own: name, ports, cookie, password and folders are not the machine's."""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from standalone.errors import CannotStartError
from standalone.files import write_private
from standalone.programs import HOST, Port, Program, Stage
from standalone.readiness import listens, speaks_amqp

# Debian's command in PATH switches to the machine's own user, and its node; these do not.
_SCRIPT_FOLDERS: Final = (
    "/usr/lib/rabbitmq/bin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)

_CONFIGURATION: Final = """\
listeners.tcp.1 = {host}:{amqp_port}
management.tcp.ip = {host}
management.tcp.port = {management_port}

# Taken by an empty node only. With a user of our own there is no guest.
default_user = {user}
default_pass = {password}
default_user_tags.administrator = true

log.console = true
log.console.level = info

# A node for one machine: the write-ahead log of quorum queues is held in memory too,
# and takes up to 512 MB by default.
raft.wal_max_size_bytes = 33554432
disk_free_limit.absolute = {disk_free_limit_mb}MB
"""

# Signals reach the Erlang machine itself (below), which then must not read a terminal. Two
# schedulers are plenty here, and memory grows with their number. At the end the management
# plugin asks the very process that waits for its end, and would wait for five seconds.
# Mnesia writes a dump of itself into the current folder when a node is killed as it starts.
_ERLANG: Final = (
    "-noinput +sbwtdcpu none +sbwtdio none +S 2:2 -kernel shutdown_timeout 2000 "
    "-mnesia core_dir false"
)
_LOOPBACK_ONLY: Final = "-kernel inet_dist_use_interface {127,0,0,1}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens one node; made once, kept beside its data."""

    user: str
    password: str = field(repr=False)
    cookie: str = field(repr=False)

    @classmethod
    def kept_in(cls, path: Path) -> Self:
        """Read the credentials in *path*, or make some and keep them there."""
        if path.exists():
            try:
                return cls(**json.loads(path.read_text()))
            except (ValueError, TypeError) as exc:
                raise CannotStartError(
                    f"{path} is damaged; move it and the folder mnesia beside it away: "
                    "RabbitMQ then starts empty, and the courier publishes waiting jobs again"
                ) from exc
        made = cls("darkroom", secrets.token_hex(16), secrets.token_hex(16).upper())
        write_private(path, json.dumps(asdict(made)))
        return made


@dataclass(frozen=True, kw_only=True)
class StandaloneRabbitMQ:
    """One node with everything it writes in *folder*, and its own port mapper (epmd)."""

    folder: Path
    amqp_port: int
    management_port: int
    dist_port: int
    epmd_port: int
    # Below this much free space RabbitMQ takes no more messages.
    disk_free_limit_mb: int = 200

    @cached_property
    def credentials(self) -> Credentials:
        return Credentials.kept_in(self.folder / "credentials.json")

    @property
    def url(self) -> str:
        login = f"{self.credentials.user}:{self.credentials.password}"
        return f"amqp://{login}@{HOST}:{self.amqp_port}/%2F"

    @property
    def management(self) -> Mapping[str, str]:
        """Where the management UI is, and who may log in there."""
        return {
            "url": f"http://{HOST}:{self.management_port}/",
            "user": self.credentials.user,
            "password": self.credentials.password,
        }

    def prepare(self) -> None:
        """Write the files that the node reads.

        Raises:
            CannotStartError: RabbitMQ is not installed.
        """
        _script("rabbitmq-server")
        _epmd()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_private(self.folder / ".erlang.cookie", self.credentials.cookie)
        write_private(self.folder / "enabled_plugins", "[rabbitmq_management].\n")
        # Without a file of our own the scripts would read the machine's.
        write_private(self.folder / "rabbitmq-env.conf", "")
        write_private(
            self.folder / "rabbitmq.conf",
            _CONFIGURATION.format(
                host=HOST,
                amqp_port=self.amqp_port,
                management_port=self.management_port,
                disk_free_limit_mb=self.disk_free_limit_mb,
                user=self.credentials.user,
                password=self.credentials.password,
            ),
        )

    def programs(self) -> tuple[Program, Program]:
        return self._port_mapper(), self._node()

    def control_command(self, *arguments: str) -> tuple[str, ...]:
        """Give the command that runs ``rabbitmqctl`` *arguments* in :attr:`environment`."""
        return (_script("rabbitmqctl"), *arguments)

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes RabbitMQ's scripts start, or find, this node and no other."""
        folder = str(self.folder)
        return {
            "HOME": folder,  # where Erlang looks for the cookie
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self.epmd_port),
            # Not the machine's name, which may change between two starts, or not resolve.
            "RABBITMQ_NODENAME": "darkroom@localhost",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/config",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{folder}/rabbitmq.pid",
            "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK_ONLY,
            # Schedulers that sleep at once (the default) double the time of a boot; ones that are
            # bound to cores would share theirs with those of the next node on this machine.
            "RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD": "very_short",
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            # The server's script becomes the Erlang machine, and no shell stands between that
            # and the supervisor.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_ERLANG} {_LOOPBACK_ONLY}",
        }

    def _port_mapper(self) -> Program:
        """Run epmd in sight: one that Erlang starts by itself would outlive the system."""
        return Program(
            name="epmd",
            role="epmd",
            stage=Stage.PORT_MAPPER,
            command=(_epmd(), "-address", HOST, "-port", str(self.epmd_port)),
            ports=(Port(self.epmd_port, "DARKROOM_EPMD_PORT"),),
            is_ready=lambda: listens(self.epmd_port),
            needed_by=Stage.SERVERS,
        )

    def _node(self) -> Program:
        return Program(
            name="rabbitmq",
            role="rabbitmq",
            stage=Stage.SERVERS,
            command=(_script("rabbitmq-server"),),
            environment=self.environment,
            ports=(
                Port(self.amqp_port, "DARKROOM_AMQP_PORT"),
                Port(self.management_port, "DARKROOM_MANAGEMENT_PORT"),
                Port(self.dist_port, "DARKROOM_DIST_PORT"),
            ),
            is_ready=lambda: speaks_amqp(self.amqp_port) and listens(self.management_port),
            # Not by the workers: consumers load their models while it boots.
            needed_by=Stage.API,
            ready_within_s=90,
            # It takes three. In its first tenth of a second it hears no SIGTERM at all.
            stop_within_s=15,
            writes_to=self.folder,
        )


def _script(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join((*_SCRIPT_FOLDERS, os.environ["PATH"])))
    if found is None:
        raise CannotStartError("RabbitMQ is not installed; ./start.sh installs it")
    return found


def _epmd() -> str:
    found = shutil.which("epmd")
    if found is None:
        raise CannotStartError("Erlang's epmd is not in PATH; it comes with RabbitMQ's Erlang")
    return found
