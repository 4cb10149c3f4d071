"""Real servers that a test may stop, freeze and start again."""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest

from testbed import namespaces
from testbed.broker import Broker
from testbed.namespaces import Network, NoNamespacesError
from testbed.parts import make_store
from testbed.server import Server
from tests.conftest import nothing_to_test_against
from tests.integration.roles import Roles, running_roles

_SHOWN_BYTES = 8_000


@pytest.fixture
def amqp_url(request: pytest.FixtureRequest) -> str:
    """RabbitMQ with nothing declared, or as it is where ``DARKROOM_TEST_AMQP_URL`` names it."""
    given = os.environ.get("DARKROOM_TEST_AMQP_URL")
    if given:
        return given
    broker: Broker = request.getfixturevalue("rabbitmq")
    return broker.empty_vhost()


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A store, not yet started; tests use :func:`mongo`."""
    store = make_store(tmp_path_factory.mktemp("store"))
    server = Server(store.program(), store.url)
    yield server
    server.stop()


@pytest.fixture
def mongo(mongo_server: Server) -> Iterator[Server]:
    """A running store, for tests that stop it or freeze it."""
    mongo_server.recover()
    yield mongo_server
    mongo_server.recover()


@pytest.fixture(scope="module")
def roles_of_the_module(
    request: pytest.FixtureRequest,
    rabbitmq_node: Broker,
    mongo_server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Roles]:
    """Roles that the tests of a module share, since their start takes longer than most tests.

    With the settings that the module has as ``SETTINGS``. Tests use :func:`system`.
    """
    rabbitmq_node.recover()
    mongo_server.recover()
    with running_roles(
        tmp_path_factory.mktemp("roles"),
        amqp_url=rabbitmq_node.empty_vhost(),
        mongo_url=mongo_server.url,
        **getattr(request.module, "SETTINGS", {}),
    ) as roles:
        yield roles


@pytest.fixture
def system(roles_of_the_module: Roles, rabbitmq: Broker, mongo: Server) -> Iterator[Roles]:
    """Idle running roles that a test may harm, like their servers."""
    roles_of_the_module.recover()
    yield roles_of_the_module
    for server in (rabbitmq, mongo):
        server.recover()
    roles_of_the_module.model.let_go()


@pytest.fixture
def network() -> Iterator[Network]:
    """Two networks, and the router between them."""
    with ExitStack() as opened:
        try:
            made = opened.enter_context(namespaces.network())
        except NoNamespacesError as exc:
            nothing_to_test_against(str(exc))
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the roles with a failed test."""
    report = yield
    roles = getattr(item, "funcargs", {}).get("system")
    if report.failed and isinstance(roles, Roles):
        for name, server in roles.servers.items():
            said = server.printed()[-_SHOWN_BYTES:].decode(errors="replace")
            report.sections.append((f"The end of the log of {name}", said))
    return report
