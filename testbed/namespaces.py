"""Two network namespaces, and a router between them that can drop all packets silently.

No port is closed and no link goes down, so that nobody is told: what a pulled cable, a lost
host or a full table of a firewall look like.
"""

import ctypes
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final, TypeVar

from standalone.programs import HOST

_CLONE_NEWNET: Final = 0x40000000  # https://man7.org/linux/man-pages/man2/setns.2.html
_CHUNK_BYTES: Final = 65_536

T = TypeVar("T")


class NoNamespacesError(Exception):
    """No namespaces can be made here: not Linux, not root, or no ``ip``."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network of its own, with a loopback of its own."""

    name: str
    address: str

    def command(self, *command: str) -> tuple[str, ...]:
        """Return the command that runs *command* in this namespace."""
        return ("ip", "netns", "exec", self.name, *command)


@dataclass(frozen=True, slots=True)
class Network:
    """Namespaces *a* and *b*, which reach each other while *router* forwards packets."""

    a: Namespace
    b: Namespace
    router: Namespace

    def drop(self) -> None:
        """Drop every packet between *a* and *b*."""
        self._forward("0")

    def pass_(self) -> None:
        """Forward packets again."""
        self._forward("1")

    def _forward(self, value: str) -> None:
        write = f"echo {value} > /proc/sys/net/ipv4/ip_forward"
        _run(*self.router.command("sh", "-c", write))


@contextmanager
def network() -> Iterator[Network]:
    """Make two namespaces and a router that forwards packets; remove them at the end.

    Raises:
        NoNamespacesError: This machine, or this user, cannot.
    """
    # Interfaces have names of 15 characters at most. Nobody outside sees the addresses.
    name = f"dk{secrets.token_hex(4)}"
    made = Network(
        Namespace(f"{name}a", "10.77.1.2"),
        Namespace(f"{name}b", "10.77.2.2"),
        Namespace(f"{name}r", ""),
    )
    with ExitStack() as undo:
        for namespace in (made.router, made.a, made.b):
            _run("ip", "netns", "add", namespace.name)
            undo.callback(_run, "ip", "netns", "delete", namespace.name)
            _run("ip", "-n", namespace.name, "link", "set", "lo", "up")
        for namespace in (made.a, made.b):
            _connect(namespace, made.router)
        made.pass_()
        yield made


@contextmanager
def carried(
    port: int, *, listen_in: Namespace | None = None, connect_in: Namespace | None = None
) -> Iterator[int]:
    """Forward connections from one namespace to *port* on the loopback of another.

    None is the machine itself. So servers that listen on loopback alone are reached from
    elsewhere, as if they ran there. Yields the port to connect to, at ``listen_in.address``.
    """
    address = listen_in.address if listen_in else HOST
    listener = _inside(listen_in, lambda: socket.create_server((address, 0)))
    with listener:
        Thread(target=_accept, args=(listener, connect_in, port), daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # a thread in accept() would keep it open


def _connect(namespace: Namespace, router: Namespace) -> None:
    """Connect *namespace* and *router* by a pair of virtual interfaces."""
    near, far = namespace.name, f"{namespace.name}r"
    gateway = namespace.address.rpartition(".")[0] + ".1"
    # Both ends are born inside: no manager of the machine's network ever sees them.
    _run("ip", "-n", namespace.name, "link", "add", near, "type", "veth",
         "peer", "name", far, "netns", router.name)  # fmt: skip
    for inside, link, address in ((namespace, near, namespace.address), (router, far, gateway)):
        _run("ip", "-n", inside.name, "address", "add", f"{address}/24", "dev", link)
        _run("ip", "-n", inside.name, "link", "set", link, "up")
    _run("ip", "-n", namespace.name, "route", "add", "default", "via", gateway)


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise NoNamespacesError(f"there is no {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own command)
    if done.returncode != 0:
        raise NoNamespacesError(f"{' '.join(command)}: {done.stderr.strip()}")


def _accept(listener: socket.socket, connect_in: Namespace | None, port: int) -> None:
    with suppress(OSError):  # the listener was closed
        while True:
            near, _ = listener.accept()
            try:
                far = _inside(connect_in, lambda: socket.create_connection((HOST, port)))
            except OSError:
                near.close()  # refused there, so refused here
                continue
            for pair in ((near, far), (far, near)):
                Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            sink.sendall(chunk)
    # Ends the pump of the other direction, too. Nobody here closes one direction only.
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()


def _inside(namespace: Namespace | None, make: Callable[[], T]) -> T:
    """Call *make* in *namespace*: sockets stay where they were made."""
    if namespace is None:
        return make()
    # A thread of its own, since a thread that has moved would stay there.
    with ThreadPoolExecutor(1, initializer=_enter, initargs=(namespace.name,)) as inside:
        return inside.submit(make).result()


def _enter(name: str) -> None:
    with Path(f"/run/netns/{name}").open() as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {name}")
