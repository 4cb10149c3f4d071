"""Unusable queues: readiness says why, and jobs accepted in that time are done."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel

from common.rabbitmq.topology import DEAD_EXCHANGE, DEAD_QUEUE, EXCHANGE, QUEUE
from testbed.broker import Broker
from testbed.waiting import wait_for
from tests.integration.roles import Roles

IMAGE = Path("models/digits/samples/7.png").read_bytes()
LEASE_S = 3
SETTINGS = {"DARKROOM_LEASE_S": str(LEASE_S), "DARKROOM_AMQP_HEARTBEAT_S": "2"}
# docs/operations.md has 10 s; a busy machine gets more.
TOLD_WITHIN_S = 20
REPAIRED_WITHIN_S = 60
ALL, NONE = ".*", "^$"


def checks(system: Roles) -> dict[str, str]:
    """Return the reasons in the readiness answer."""
    answer = requests.get(f"{system.client.url}/readyz", timeout=30).json()
    return {name: state for name, state in answer["checks"].items() if state != "ok"}


def wait_until_told(system: Roles, words: str, *, by: str = "") -> None:
    """Wait until the readiness answer contains *words*, in the check *by* if one is named."""

    def is_told() -> bool:
        found = checks(system)
        return words in (found.get(by, "") if by else json.dumps(found))

    wait_for(is_told, within_s=TOLD_WITHIN_S, what=f"readiness says {words!r}")


def wait_until_done(system: Roles, location: str) -> None:
    assert system.client.wait_for(location)["state"] == "done"
    wait_for(system.client.is_ready, within_s=REPAIRED_WITHIN_S, what="it is ready again")


@contextmanager
def operating(system: Roles) -> Iterator[BlockingChannel]:
    """Open a channel to RabbitMQ as an operator or a foreign program would."""
    with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
        yield connection.channel()


@pytest.mark.parametrize("queue", [QUEUE, DEAD_QUEUE])
def test_a_queue_of_ours_that_is_broken_is_told_and_replaced(
    system: Roles, rabbitmq: Broker, queue: str
) -> None:
    waiting = system.in_hand(), system.submitted(), system.submitted()

    rabbitmq.break_queue(system.amqp_url, queue)
    wait_until_told(system, f"{queue!r} and cannot use it", by="courier")
    location = system.submitted()
    system.model.let_go()

    for each in (*waiting, location):
        wait_until_done(system, each)


def test_a_queue_that_is_somebody_elses_is_told_and_its_end_awaited(system: Roles) -> None:
    with operating(system) as channel:
        channel.queue_delete(QUEUE)
        channel.queue_declare(QUEUE, durable=True)

        wait_until_told(system, f"delete_queue {QUEUE}", by="consumer")
        wait_until_told(system, f"delete_queue {QUEUE}", by="courier")
        location = system.submitted()
        channel.queue_delete(QUEUE)

    wait_until_done(system, location)


def test_a_dead_letter_queue_that_is_somebody_elses_is_told_and_its_end_awaited(
    system: Roles,
) -> None:
    with operating(system) as channel:
        channel.queue_delete(DEAD_QUEUE)
        channel.queue_declare(DEAD_QUEUE, durable=True)

        wait_until_told(system, f"delete_queue {DEAD_QUEUE}", by="courier")
        location = system.submitted()
        channel.queue_delete(DEAD_QUEUE)

    wait_until_done(system, location)


@pytest.mark.parametrize("exchange", [EXCHANGE, DEAD_EXCHANGE])
def test_an_exchange_that_is_somebody_elses_is_told_and_its_end_awaited(
    system: Roles, exchange: str
) -> None:
    with operating(system) as channel:
        channel.exchange_delete(exchange)
        channel.exchange_declare(exchange, "fanout", durable=True)

        wait_until_told(system, f"delete exchange name={exchange}", by="courier")
        location = system.submitted()
        channel.exchange_delete(exchange)

    wait_until_done(system, location)


@pytest.mark.parametrize(
    ("configure", "write", "read"),
    [(NONE, ALL, ALL), (ALL, NONE, ALL), (ALL, ALL, NONE)],
    ids=["configure", "write", "read"],
)
def test_a_missing_right_is_told_and_its_grant_awaited(
    system: Roles, rabbitmq: Broker, configure: str, write: str, read: str
) -> None:
    rabbitmq.give_rights(system.amqp_url, configure=configure, write=write, read=read)
    try:
        for check in ("broker", "consumer", "courier"):
            wait_until_told(system, "rabbitmqctl set_permissions -p", by=check)
        location = system.submitted()
    finally:
        rabbitmq.give_rights(system.amqp_url, configure=ALL, write=ALL, read=ALL)

    wait_until_done(system, location)


@pytest.mark.parametrize(
    ("write", "read", "check"),
    [(ALL, rf"^(?!{QUEUE}$)", "consumer"), (rf"^(?!{EXCHANGE}$)", ALL, "broker")],
    ids=["nobody may consume", "nobody may publish"],
)
def test_a_right_that_only_one_role_misses_is_told_by_it(
    system: Roles, rabbitmq: Broker, write: str, read: str, check: str
) -> None:
    rabbitmq.give_rights(system.amqp_url, configure=ALL, write=write, read=read)
    try:
        wait_until_told(system, "rabbitmqctl set_permissions -p", by=check)
        location = system.submitted()
    finally:
        rabbitmq.give_rights(system.amqp_url, configure=ALL, write=ALL, read=ALL)

    wait_until_done(system, location)


def test_a_virtual_host_that_is_closed_to_us_is_told_and_its_grant_awaited(
    system: Roles, rabbitmq: Broker
) -> None:
    rabbitmq.take_rights(system.amqp_url)
    try:
        for check in ("broker", "consumer", "courier"):
            wait_until_told(system, "RabbitMQ refuses the virtual host", by=check)
        location = system.submitted()
    finally:
        rabbitmq.give_rights(system.amqp_url, configure=ALL, write=ALL, read=ALL)

    wait_until_done(system, location)


def test_the_rights_that_the_words_name_are_enough(system: Roles, rabbitmq: Broker) -> None:
    ours = "^darkroom"
    with operating(system) as channel:
        for queue in (QUEUE, DEAD_QUEUE):
            channel.queue_delete(queue)
        for exchange in (EXCHANGE, DEAD_EXCHANGE):
            channel.exchange_delete(exchange)
    rabbitmq.give_rights(system.amqp_url, configure=ours, write=ours, read=ours)
    try:
        wait_until_done(system, system.submitted())
        assert checks(system) == {}
    finally:
        rabbitmq.give_rights(system.amqp_url, configure=ALL, write=ALL, read=ALL)
