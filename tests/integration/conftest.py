"""Real servers that a test may stop, freeze and start again."""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus

import pytest
import requests

from embedded.errors import CannotStartError
from embedded.programs import Program
from embedded.rabbitmq import EmbeddedRabbitMQ
from embedded.store import EmbeddedStore
from tests.servers import free_port, running

_CONTROL_LIMIT_S = 60
_DEFAULT_WATERMARK = "0.4"


class Server:
    """One program, run as often as a test wants it."""

    def __init__(self, program: Program, url: str) -> None:
        self.url = url
        self._program = program
        self._run = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it if it does not run, and wait until it is ready."""
        if self._process is None:
            self._process = self._run.enter_context(running(self._program))

    def stop(self) -> None:
        """Ask it to end, and wait for it."""
        self.thaw()
        self._process = None
        self._run.close()

    def kill(self) -> None:
        """End it with no time to put anything in order."""
        self._send(signal.SIGKILL)
        self.stop()

    def freeze(self) -> None:
        """Leave it there, with its connections open, and doing nothing."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def recover(self) -> None:
        """Undo what a test did to it."""
        self.thaw()
        self.start()

    def _send(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)


class Broker(Server):
    """A RabbitMQ node."""

    def __init__(self, program: Program, node: EmbeddedRabbitMQ) -> None:
        super().__init__(program, node.url)
        self._node = node

    def empty_vhost(self) -> str:
        """Make a virtual host in which nothing is declared, and give its URL."""
        name = uuid.uuid4().hex
        login = (self._node.credentials.user, self._node.credentials.password)
        url = f"{self._node.management['url']}api/vhosts/{name}"
        response = requests.put(url, auth=login, timeout=_CONTROL_LIMIT_S)
        assert response.status_code == HTTPStatus.CREATED
        return self.url.removesuffix("%2F") + name

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
        for name in self.control("-p", vhost, "-s", "list_queues", "name").split():
            self.control("-p", vhost, "delete_queue", name)

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Make it take no messages, like a node that is short of memory."""
        self.control("set_vm_memory_high_watermark", "0")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", _DEFAULT_WATERMARK)


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node with its own port mapper, not yet started; tests use :func:`rabbitmq`."""
    node = EmbeddedRabbitMQ(
        folder=tmp_path_factory.mktemp("rabbitmq"),
        amqp_port=free_port(),
        management_port=free_port(),
        dist_port=free_port(),
        epmd_port=free_port(),
    )
    try:
        node.prepare()
    except CannotStartError as exc:
        _nothing_to_test_against(str(exc))
    port_mapper, program = node.programs()
    broker = Broker(program, node)
    with running(port_mapper):
        yield broker
        broker.stop()


@pytest.fixture
def rabbitmq(rabbitmq_node: Broker) -> Iterator[Broker]:
    """A running node, for tests that stop it, freeze it or raise its alarm."""
    rabbitmq_node.recover()
    yield rabbitmq_node
    rabbitmq_node.recover()


@pytest.fixture
def amqp_url(request: pytest.FixtureRequest) -> str:
    """RabbitMQ with nothing declared, or as it is where ``DARKROOM_TEST_AMQP_URL`` names it."""
    given = os.environ.get("DARKROOM_TEST_AMQP_URL")
    if given:
        return given
    broker: Broker = request.getfixturevalue("rabbitmq")
    return broker.empty_vhost()


@pytest.fixture
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A store of its own, for tests that stop it or freeze it."""
    store = EmbeddedStore(folder=tmp_path_factory.mktemp("store"), port=free_port())
    store.prepare()
    server = Server(store.program(), store.url)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mongo_url(request: pytest.FixtureRequest) -> str:
    """An embedded store, or the server that ``DARKROOM_TEST_MONGO_URL`` names."""
    given = os.environ.get("DARKROOM_TEST_MONGO_URL")
    return given or str(request.getfixturevalue("embedded_mongo_url"))


def _nothing_to_test_against(reason: str) -> None:
    """Skip on a laptop, where a server may be missing; fail in CI, where it may not."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
