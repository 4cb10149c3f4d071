"""A RabbitMQ node that tests may stop, break and query."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests
from pika.adapters.blocking_connection import BlockingChannel

from common.rabbitmq.topology import QUEUE
from standalone.rabbitmq import StandaloneRabbitMQ
from testbed.ports import free_port
from testbed.server import Server

_CONTROL_LIMIT_S: Final = 180
_DEFAULT_WATERMARK: Final = "0.4"
_DISK_FREE_LIMIT_MB: Final = 200


def make_node(folder: Path, *, disk_free_limit_mb: int = _DISK_FREE_LIMIT_MB) -> StandaloneRabbitMQ:
    """Prepare a node with ports of its own, which writes to *folder*.

    Raises:
        CannotStartError: RabbitMQ is not installed.
    """
    node = StandaloneRabbitMQ(
        folder=folder,
        amqp_port=free_port(),
        management_port=free_port(),
        dist_port=free_port(),
        epmd_port=free_port(),
        disk_free_limit_mb=disk_free_limit_mb,
    )
    node.prepare()
    return node


def consumer_count(channel: BlockingChannel) -> int:
    """Return how many consumers the work queue has."""
    count: int = channel.queue_declare(QUEUE, passive=True).method.consumer_count
    return count


def message_count(channel: BlockingChannel, queue: str = QUEUE) -> int:
    """Return how many messages wait in a queue."""
    count: int = channel.queue_declare(queue, passive=True).method.message_count
    return count


class Broker(Server):
    """A RabbitMQ node."""

    def __init__(self, node: StandaloneRabbitMQ, *, log: Path | None = None) -> None:
        super().__init__(node.programs()[1], node.url, log=log)
        self.node = node

    def empty_vhost(self) -> str:
        """Make an empty virtual host; return its URL."""
        name = uuid.uuid4().hex
        self._manage("PUT", f"vhosts/{name}")
        return self.url.removesuffix("%2F") + name

    def delete_vhost(self, url: str) -> None:
        self._manage("DELETE", f"vhosts/{url.rpartition('/')[2]}")

    def totals(self) -> dict[str, int]:
        """Return how many connections, channels, queues and so on there are."""
        totals: dict[str, int] = self._manage("GET", "overview").json()["object_totals"]
        return totals

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` *arguments* on this node; return its output."""
        completed = subprocess.run(  # noqa: S603 (our own command)
            self.node.control_command(*arguments),
            env={**os.environ, **self.node.environment},
            check=True,
            capture_output=True,
            text=True,
            timeout=_CONTROL_LIMIT_S,
        )
        return completed.stdout

    def delete_queues(self, url: str) -> None:
        """Delete the queues of a virtual host and their messages."""
        vhost = url.rpartition("/")[2]
        for queue in self._manage("GET", f"queues/{vhost}").json():
            self._manage("DELETE", f"queues/{vhost}/{queue['name']}")

    def break_queue(self, url: str, queue: str, *, holding: int = 0) -> bool:
        """Delete a quorum queue's files and process: it stays declared, but nobody can use it.

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
        """Stop a quorum queue's process: nobody can use the queue until it is started."""
        self._on_queue("ra:stop_server", url, queue)

    def suspend_queue(self, url: str, queue: str) -> None:
        """Suspend a quorum queue's process: it receives messages and does nothing."""
        self._on_queue("(fun(_, {Name, _}) -> sys:suspend(whereis(Name)) end)", url, queue)

    def start_queue(self, url: str, queue: str) -> None:
        self._on_queue("ra:restart_server", url, queue)

    def _on_queue(self, call: str, url: str, queue: str) -> str:
        """Call an Erlang function with the Ra system and server of a queue; return its result."""
        vhost = url.rpartition("/")[2].replace("%2F", "/")
        said = self.control(
            "eval",
            f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, '
            f'<<"{queue}">>)), {call}(quorum_queues, amqqueue:get_pid(Q)).',
        ).strip()
        assert said in {"ok", "too_few"}, said
        return said

    def give_rights(self, url: str, *, configure: str, write: str, read: str) -> None:
        """Give our user other rights in a virtual host, as patterns of names.

        It also closes the connections there: a channel remembers the rights that it had.
        """
        vhost = url.rpartition("/")[2]
        self._manage(
            "PUT",
            f"permissions/{vhost}/{self.node.credentials.user}",
            {"configure": configure, "write": write, "read": read},
        )
        self._close_connections(vhost)

    def take_rights(self, url: str) -> None:
        """Take all rights in a virtual host from our user."""
        vhost = url.rpartition("/")[2]
        self._manage("DELETE", f"permissions/{vhost}/{self.node.credentials.user}")
        self._close_connections(vhost)

    def _close_connections(self, vhost: str) -> None:
        self.control("close_all_connections", "--vhost", vhost, "the rights have changed")

    @contextmanager
    def policy(self, url: str, definition: dict[str, int]) -> Iterator[None]:
        """Apply a policy to the work queue of a virtual host until the end of the block."""
        policy = f"policies/{url.rpartition('/')[2]}/test"
        self._manage("PUT", policy, {"pattern": f"^{QUEUE}$", "definition": definition})
        yield
        self._manage("DELETE", policy)

    def _manage(self, method: str, what: str, body: object = None) -> requests.Response:
        """Call the management API, which is far quicker than ``rabbitmqctl``."""
        response = requests.request(
            method,
            f"{self.node.management['url']}api/{what}",
            json=body,
            auth=(self.node.credentials.user, self.node.credentials.password),
            timeout=_CONTROL_LIMIT_S,
        )
        assert response.ok, response.text
        return response

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Raise the memory alarm, so that the node accepts no messages."""
        self.control("set_vm_memory_high_watermark", "0")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", _DEFAULT_WATERMARK)
