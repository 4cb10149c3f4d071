"""A network that silently drops all packets."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from testbed.broker import Broker
from testbed.namespaces import Network, carried
from testbed.server import Server
from testbed.waiting import wait_for
from tests.examples import an_image
from tests.integration.roles import Roles, running_roles

HEARTBEAT_S = 2
STORE_TIMEOUT_S = 1
# A request waits for the store only for its time, not for the network.
HANGS_AFTER_S = 15
# What a role logs when it has noticed; the api has two processes.
NOTICED = {
    "api": ("the connection to RabbitMQ ended", 2),
    "consumer-1": ("the connection to RabbitMQ was lost", 1),
    "courier": ("the connection to RabbitMQ ended", 1),
}


@pytest.fixture
def system(network: Network, rabbitmq: Broker, mongo: Server, tmp_path: Path) -> Iterator[Roles]:
    """The roles in one network, RabbitMQ and MongoDB in the other."""
    with ExitStack() as opened:

        def seen_from_there(url: str) -> str:
            [port] = re.findall(r"127\.0\.0\.1:(\d+)", url)
            seen = opened.enter_context(carried(int(port), listen_in=network.b))
            return url.replace(f"127.0.0.1:{port}", f"{network.b.address}:{seen}")

        yield opened.enter_context(
            running_roles(
                tmp_path,
                network.a,
                amqp_url=seen_from_there(rabbitmq.empty_vhost()),
                mongo_url=seen_from_there(mongo.url),
                DARKROOM_AMQP_HEARTBEAT_S=str(HEARTBEAT_S),
                DARKROOM_STORE_TIMEOUT_S=str(STORE_TIMEOUT_S),
            )
        )


def test_a_silent_network_is_noticed_by_all_and_costs_neither_a_restart_nor_an_attempt(
    system: Roles, network: Network
) -> None:
    pids = {name: server.pid for name, server in system.servers.items()}
    location = system.in_hand()

    network.drop()
    # TCP itself would take a quarter of an hour.
    wait_for(lambda: all_noticed(system), what="all have noticed")
    refused = system.client.post_form(an_image())
    network.pass_()
    system.model.let_go()

    assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert refused.elapsed.total_seconds() < HANGS_AFTER_S
    job = system.client.wait_for(location)
    assert (job["state"], job["attempts"], system.model.inferences) == ("done", 1, 1)
    assert system.client.classify(an_image())["state"] == "done"
    assert {name: server.pid for name, server in system.servers.items()} == pids


def all_noticed(system: Roles) -> bool:
    return all(
        system.servers[role].has_said(words, times=times)
        for role, (words, times) in NOTICED.items()
    )
