"""Servers and roles as processes that a test may stop, freeze, kill and start again."""

import os
import secrets
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import requests

from common.rabbitmq.topology import QUEUE
from embedded.programs import HOST, Program
from embedded.rabbitmq import EmbeddedRabbitMQ
from tests.waiting import wait_for

_LOOK_AGAIN_S = 0.05
_CONTROL_LIMIT_S = 180
_DEFAULT_WATERMARK = "0.4"
# A machine that runs several systems at once needs longer than programs promise.
_PATIENCE = 3


# Below those that the kernel gives to outgoing connections: there a server that is started
# again could find its port taken, and a client of one that is down could connect to itself.
_PORTS = range(20_000, 32_000)


# Each holds the UDP port of the same number, which nobody else here has a use for.
_reservations: list[ExitStack] = []


def free_port() -> int:
    """Find a port that nobody listens on; no other call finds it again, in any process."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """Find *count* such ports in a row, and return the first."""
    while True:
        first = secrets.choice(_PORTS[: len(_PORTS) - count + 1])
        with ExitStack() as undo:
            taken = [_reserved(port, undo) for port in range(first, first + count)]
            if all(taken):
                _reservations.append(undo.pop_all())
                return first


def _reserved(port: int, undo: ExitStack) -> bool:
    """Reserve *port* until *undo*; tell whether it was free."""
    reservation = undo.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    with socket.socket() as probe, suppress(OSError):
        reservation.bind((HOST, port))
        probe.bind((HOST, port))
        return True
    return False


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of *pid*."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # this thread has just ended
            children += map(int, (task / "children").read_text().split())
    return children


class Server:
    """One program, run as often as a test wants it.

    Args:
        program: What to run.
        url: Where clients reach it, if they do.
        log: The file that takes what it prints; None: nobody wants to know.
    """

    def __init__(self, program: Program, url: str = "", *, log: Path | None = None) -> None:
        self.url = url
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.program.name} does not run"
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it if it does not run, and wait until it is ready."""
        if self.is_running:
            return
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it, and do not wait."""
        with (self._log or Path(os.devnull)).open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 (our own command)
                self.program.command,
                env={**os.environ, **self.program.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + _PATIENCE * self.program.ready_within_s
        while not self.program.is_ready():
            assert self.is_running, f"{self.program.name} ended before it was ready"
            assert time.monotonic() < deadline_s, f"{self.program.name} is not ready in time"
            time.sleep(_LOOK_AGAIN_S)

    def ask_to_stop(self) -> None:
        """Ask it to end, and do not wait."""
        if self.process is not None:
            self.thaw()
            self.process.terminate()

    def stop(self) -> int | None:
        """Ask it to end, wait for it, and return its exit status; None if it did not run.

        Raises:
            TimeoutExpired: It did not end, and was killed.
        """
        self.ask_to_stop()
        if self.process is None:
            return None
        try:
            return self.process.wait(_PATIENCE * self.program.stop_within_s)
        finally:
            self.kill()  # and forget it

    def kill(self) -> None:
        """End it with no time to put anything in order."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Leave it there, with its connections open, and doing nothing."""
        if self.is_running:
            stand_still(self.pid)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def recover(self) -> None:
        """Undo what a test did to it."""
        self.thaw()
        self.start()

    def printed(self) -> bytes:
        """Return what its log holds."""
        return b"" if self._log is None else self._log.read_bytes()

    def calls_itself(self, owner: str) -> bool:
        """Tell whether *owner*, the id that a consumer holds jobs under, is its own."""
        # Such an id names host, process and start.
        return self.is_running and self.pid == int(owner.split("-")[-2])

    def has_said(self, words: str, *, times: int = 1) -> bool:
        return self.printed().count(words.encode()) >= times

    def forget_printed(self) -> None:
        """Empty its log; what it appends from now on stands at the beginning."""
        if self._log is not None and self._log.exists():
            os.truncate(self._log, 0)

    def children(self) -> list[int]:
        """Return the process ids of its children, such as a consumer's engine."""
        return children_of(self.pid)

    def _send(self, number: int) -> None:
        if self.is_running:
            os.kill(self.pid, number)


def stand_still(pid: int) -> None:
    """Stop a process (SIGSTOP), and wait until it stands still, unless it ends first.

    On a busy machine its threads go on for a while after the signal was sent.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: _stands_still(pid), what=f"process {pid} stands still")


def _stands_still(pid: int) -> bool:
    states = []
    with suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # this thread has
                states.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return all(state in "TZX" for state in states)


class Broker(Server):
    """A RabbitMQ node."""

    def __init__(self, node: EmbeddedRabbitMQ, *, log: Path | None = None) -> None:
        super().__init__(node.programs()[1], node.url, log=log)
        self._node = node

    def empty_vhost(self) -> str:
        """Make a virtual host in which nothing is declared, and give its URL."""
        name = uuid.uuid4().hex
        self._manage("PUT", f"vhosts/{name}")
        return self.url.removesuffix("%2F") + name

    def totals(self) -> dict[str, int]:
        """Return how many connections, channels, queues and so on there are."""
        totals: dict[str, int] = self._manage("GET", "overview").json()["object_totals"]
        return totals

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` *arguments* on this node, and give what it says."""
        completed = subprocess.run(  # noqa: S603 (our own command)
            self._node.control_command(*arguments),
            env={**os.environ, **self._node.environment},
            check=True,
            capture_output=True,
            text=True,
            timeout=_CONTROL_LIMIT_S,
        )
        return completed.stdout

    def delete_queues(self, url: str) -> None:
        """Delete the queues of a virtual host, with all that is in them."""
        vhost = url.rpartition("/")[2]
        for queue in self._manage("GET", f"queues/{vhost}").json():
            self._manage("DELETE", f"queues/{vhost}/{queue['name']}")

    def break_queue(self, url: str, queue: str, *, holding: int = 0) -> bool:
        """Take a quorum queue's files and process away; it stays declared, and nobody can use it.

        Some ends of a node, and a full disk, leave the same.

        Args:
            url: Where the queue is.
            queue: Its name.
            holding: How many messages must wait in it; with fewer, nothing is done.

        Returns:
            Whether it was broken.
        """
        if not holding:
            return self._on_queue("ra:force_delete_server", url, queue) == "ok"
        waiting = "ra:local_query(Server, fun rabbit_fifo:query_messages_ready/1)"
        call = f"""(fun(System, Server) ->
            {{ok, {{_, Waiting}}, _}} = {waiting},
            case Waiting >= {holding} of
                true -> ra:force_delete_server(System, Server);
                false -> too_few
            end
        end)"""
        return self._on_queue(call, url, queue) == "ok"

    def stop_queue(self, url: str, queue: str) -> None:
        """Stop a quorum queue's process; until it is started nobody can use the queue."""
        self._on_queue("ra:stop_server", url, queue)

    def suspend_queue(self, url: str, queue: str) -> None:
        """Have a quorum queue's process take messages and do nothing with them."""
        self._on_queue("(fun(_, {Name, _}) -> sys:suspend(whereis(Name)) end)", url, queue)

    def start_queue(self, url: str, queue: str) -> None:
        self._on_queue("ra:restart_server", url, queue)

    def _on_queue(self, call: str, url: str, queue: str) -> str:
        """Call an Erlang function with the system and the server of a queue; say what came back."""
        vhost = url.rpartition("/")[2].replace("%2F", "/")
        said = self.control(
            "eval",
            f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, '
            f'<<"{queue}">>)), {call}(quorum_queues, amqqueue:get_pid(Q)).',
        ).strip()
        assert said in {"ok", "too_few"}, said
        return said

    def give_rights(self, url: str, *, configure: str, write: str, read: str) -> None:
        """Give our user other rights in a virtual host: patterns of names.

        It also closes the connections there: a channel remembers the rights that it had.
        """
        vhost = url.rpartition("/")[2]
        self._manage(
            "PUT",
            f"permissions/{vhost}/{self._node.credentials.user}",
            {"configure": configure, "write": write, "read": read},
        )
        self._close_connections(vhost)

    def take_rights(self, url: str) -> None:
        """Close a virtual host to our user."""
        vhost = url.rpartition("/")[2]
        self._manage("DELETE", f"permissions/{vhost}/{self._node.credentials.user}")
        self._close_connections(vhost)

    def _close_connections(self, vhost: str) -> None:
        self.control("close_all_connections", "--vhost", vhost, "the rights have changed")

    @contextmanager
    def policy(self, url: str, definition: dict[str, int]) -> Iterator[None]:
        """Have the work queue of a virtual host obey *definition* until the end of the block."""
        policy = f"policies/{url.rpartition('/')[2]}/test"
        self._manage("PUT", policy, {"pattern": f"^{QUEUE}$", "definition": definition})
        yield
        self._manage("DELETE", policy)

    def _manage(self, method: str, what: str, body: object = None) -> requests.Response:
        """Ask the management API, which is far quicker than ``rabbitmqctl``."""
        response = requests.request(
            method,
            f"{self._node.management['url']}api/{what}",
            json=body,
            auth=(self._node.credentials.user, self._node.credentials.password),
            timeout=_CONTROL_LIMIT_S,
        )
        assert response.ok, response.text
        return response

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Make it take no messages, like a node that is short of memory."""
        self.control("set_vm_memory_high_watermark", "0")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", _DEFAULT_WATERMARK)


@contextmanager
def running(program: Program) -> Iterator["subprocess.Popen[bytes]"]:
    """Run *program* until the end of the block; yield once it is ready."""
    server = Server(program)
    try:
        server.start()
        assert server.process is not None
        yield server.process
    finally:
        server.stop()
