"""Our own roles as processes, on servers that a test may harm."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from common.mongo.connection import connect, open_database
from standalone import roles
from standalone.nginx import REQUEST_LIMIT_S
from standalone.programs import HOST, Program
from testbed.client import Client
from testbed.held import HeldModel
from testbed.namespaces import Namespace
from testbed.parts import api_socket, make_nginx, role_settings
from testbed.processes import children_of
from testbed.server import Server, running
from testbed.waiting import wait_for
from tests.examples import an_image

GRACE_S = 5.0
# The grace period, and time to close the connections on a busy machine.
ENDS_WITHIN_S = GRACE_S + 20
READY_WITHIN_S = 180


@dataclass(frozen=True)
class Roles:
    """nginx, API, consumer, courier, and a model that a test can hold."""

    client: Client
    servers: dict[str, Server]
    model: HeldModel
    settings: Mapping[str, str]
    front: "subprocess.Popen[bytes]"

    @property
    def processes(self) -> dict[str, tuple[int, ...]]:
        """The main process of each role and of nginx, with its children."""
        main = {name: server.pid for name, server in self.servers.items()}
        main["nginx"] = self.front.pid
        return {name: (pid, *sorted(children_of(pid))) for name, pid in main.items()}

    @property
    def amqp_url(self) -> str:
        return self.settings["DARKROOM_AMQP_URL"]

    @property
    def database(self) -> str:
        return self.settings["DARKROOM_MONGO_DATABASE"]

    @property
    def api(self) -> Server:
        return self.servers["api"]

    @property
    def consumer(self) -> "subprocess.Popen[bytes]":
        return self._process("consumer-1")

    @property
    def courier(self) -> "subprocess.Popen[bytes]":
        return self._process("courier")

    @property
    def requests_in_hand(self) -> int:
        """The number of requests that the API has accepted and not answered; Linux only."""
        socket = self.api.program.environment["DARKROOM_API_BIND"]
        rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        # A connection that nobody has accepted yet is still connecting, 02: man proc_pid_net.
        return sum(row[5] == "03" and row[-1] == socket for row in rows)

    def another_consumer(self) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        """Run one more consumer until the end of the block."""
        return running(self.servers["consumer-1"].program)

    @contextmanager
    def another_grace(self, seconds: str) -> Iterator[None]:
        """Run a consumer with another grace period until the end of the block."""
        server = self.servers["consumer-1"]
        program = server.program
        server.stop()
        server.program = replace(
            program, environment={**program.environment, "DARKROOM_GRACE_S": seconds}
        )
        server.start()
        try:
            yield
        finally:
            server.program = program

    def in_hand(self) -> str:
        """Hold the model, and submit an image to it; return the location of its job."""
        self.model.hold()
        location = self.submitted()
        wait_for(lambda: self.model.inferences, what="it is being worked on")
        return location

    def submitted(self) -> str:
        """Submit an image; return the location of its job."""
        return self.client.hand_in(an_image())

    def recover(self) -> None:
        """Undo what a test did: everything runs, no job is left, and the logs are empty."""
        self.model.let_go()
        for server in self.servers.values():
            server.recover()
        self.wait_until_ready()
        self.wait_until_idle()
        for server in self.servers.values():
            server.forget_printed()

    def wait_until_ready(self) -> None:
        """Wait until a job would be classified, whichever process of the API accepts it."""
        wait_for(self.client.is_ready, within_s=READY_WITHIN_S, what="the roles are ready")
        wait_for(self._api_is_loaded, within_s=READY_WITHIN_S, what="each process of the api works")

    def wait_until_idle(self) -> None:
        """Wait until all jobs have ended."""
        with connect(self.settings["DARKROOM_MONGO_URL"], timeout_s=30) as client:
            jobs = open_database(client, self.database)["jobs"]
            unfinished = {"state": {"$in": ["pending", "processing"]}}
            wait_for(
                lambda: jobs.find_one(unfinished) is None,
                within_s=READY_WITHIN_S,
                what="all jobs have ended",
            )

    def _api_is_loaded(self) -> bool:
        # What uWSGI says when it has started a process, and when that has loaded the api.
        said = self.api.printed()
        return said.count(b"WSGI app 0") >= said.count(b"spawned uWSGI worker")

    def _process(self, name: str) -> "subprocess.Popen[bytes]":
        process = self.servers[name].process
        assert process is not None
        return process


def environment(folder: Path, *, amqp_url: str, mongo_url: str, **settings: str) -> dict[str, str]:
    """Return the settings of roles that write to *folder* and use their own database."""
    given = {"DARKROOM_GRACE_S": f"{GRACE_S:g}", **settings}
    return role_settings(folder, amqp_url=amqp_url, mongo_url=mongo_url, **given)


def programs(settings: dict[str, str]) -> list[Program]:
    """Return a consumer, a courier and an api."""
    return [
        *roles.consumers(1, settings, grace_s=GRACE_S),
        roles.courier(settings, grace_s=GRACE_S),
        roles.api(api_socket(Path(settings["DARKROOM_STATE_DIR"])), settings, grace_s=GRACE_S),
    ]


@contextmanager
def running_roles(
    folder: Path,
    inside: Namespace | None = None,
    /,
    *,
    amqp_url: str,
    mongo_url: str,
    **settings: str,
) -> Iterator[Roles]:
    """Run the roles until the end of the block; yield once a job would be classified.

    What the role ``consumer-1`` logs is in *folder*, in ``consumer-1.log``, and so on.

    Args:
        folder: What they write lies here.
        inside: The network in which they run; nginx runs on the machine itself.
        amqp_url: RabbitMQ, as they see it.
        mongo_url: MongoDB, likewise.
        settings: More of them.
    """
    model = HeldModel(folder)
    chosen = environment(
        folder, amqp_url=amqp_url, mongo_url=mongo_url, **(model.install() | settings)
    )
    with ExitStack() as opened:
        servers = {
            program.name: Server(_moved(program, inside), log=folder / f"{program.name}.log")
            for program in programs(chosen)
        }
        opened.callback(_stop, servers.values())
        for server in servers.values():
            server.launch()
        for server in servers.values():
            server.wait_until_ready()
        limit_s = int(settings.get("DARKROOM_REQUEST_LIMIT_S", REQUEST_LIMIT_S))
        nginx = make_nginx(folder, request_limit_s=limit_s)
        front = opened.enter_context(running(nginx.program()))
        client = Client(f"http://{HOST}:{nginx.port}")
        system = Roles(client, servers, model, chosen, front)
        system.wait_until_ready()
        yield system


def _stop(servers: Iterable[Server]) -> None:
    """Stop all at once, since each takes a second or two."""
    for server in servers:
        server.ask_to_stop()
    for server in servers:
        server.stop()


def _moved(program: Program, inside: Namespace | None) -> Program:
    if inside is None:
        return program
    return replace(program, command=inside.command(*program.command), is_ready=lambda: True)
