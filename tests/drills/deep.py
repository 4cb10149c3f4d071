"""A drill with a deep queue: waiting long is no loss, but a loss in the middle is noticed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Final

from pika.spec import BasicProperties
from pymongo.collection import Collection

from common.jobs import new_job_id
from common.messages import ClassifyMessage
from common.mongo.documents import from_document
from common.mongo.stores import Stores, opened_stores
from common.rabbitmq.publisher import RabbitPublisher
from common.rabbitmq.queues import RabbitQueues
from common.rabbitmq.topology import EXCHANGE, QUEUE, ROUTING_KEY, parameters
from common.settings.courier import CourierSettings
from courier.duties.lost_messages import Evidence
from courier.main import duties_at_the_queues, duties_at_the_store
from courier.rounds import Duty
from testbed.broker import message_count
from testbed.echo import Order, numbered
from testbed.system import Plan
from testbed.waiting import wait_for
from tests.drills.drill import Drill, Run
from tests.examples import OWNER, a_job, a_worker

_WAITING: Final = 100_000
_WAITING_IN_SHORT: Final = 10_000
_AT_ONCE: Final = 10_000
# The oldest has waited for hours.
_APART_MS: Final = 100
_ROUNDS, _SHORT_ROUNDS = 200, 100
_LEASE_S: Final = 1
_ROUND_WITHIN_S: Final = 10
_QUEUED_WITHIN_S: Final = 600
_ENDED_WITHIN_S: Final = 400
_HELD: Final = 10

# So that a busy machine does not make the courier queue a message twice or take it for lost.
_PATIENT: Final = {
    "DARKROOM_LEASE_S": "6",
    "DARKROOM_PUBLISH_TIMEOUT_S": "10",
    "DARKROOM_PUBLISH_AFTER_S": "30",
}

_PERSISTENT: Final = BasicProperties(delivery_mode=2)

_JOBS, _SHORT_JOBS = 1000, 400
_LOST_SHARE: Final = 0.05


def _deepen(run: Run) -> None:
    """Let very many jobs wait; then, among fewer, lose some in the middle of the queue."""
    for consumer in run.system.consumers:
        consumer.stop()
    _let_many_wait(run)
    _lose_some(run)


def _let_many_wait(run: Run) -> None:
    """Expect that the courier publishes no waiting job again, however many wait.

    They lie in a database of their own, in which a courier of this process looks for the lost,
    round after round with no pause. A consumer, this process too, holds some of the oldest.
    """
    count = _WAITING_IN_SHORT if run.short else _WAITING
    name = run.system.database_name + "-deep"
    with run.system.database() as database, _courier(run, name) as (stores, duties):
        jobs = database.client[name]["jobs"]
        run.notes["waiting"] = count
        _fill(run, jobs, _template(stores, jobs), count)
        beat = partial(stores.workers.beat, a_worker())
        beat()
        for oldest in jobs.find().sort("waiting_ms").limit(_HELD):
            stores.jobs.claim(oldest["_id"], fence=oldest["fence"], owner=OWNER)
        run.notes["ms a round"] = _repeat(
            [beat, *duties], at_least=_SHORT_ROUNDS if run.short else _ROUNDS
        )
        again = jobs.find_one({"republished": {"$exists": True}})
        run.expect(again is None, f"published again, among {count} that waited: {again}")
        run.expect(_length(run) == count, "the queue has not what was put into it")
        database.client.drop_database(name)
    with run.system.channel() as channel:
        channel.queue_purge(QUEUE)


@contextmanager
def _courier(run: Run, database_name: str) -> Iterator[tuple[Stores, list[Duty]]]:
    """Make the duties of a courier's round."""
    fields: dict[str, Any] = {
        name.removeprefix("DARKROOM_").lower(): value
        for name, value in run.system.environment.items()
    }
    own = {
        "mongo_database": database_name,
        "lease_s": _LEASE_S,
        # The jobs that are held end with the drill only, however long that takes.
        "job_time_limit_s": 3600,
        # On a busy machine a round among so many jobs may take longer than drills wait elsewhere.
        "store_timeout_s": _ROUND_WITHIN_S,
    }
    settings = CourierSettings(**fields | own)
    connection = parameters(run.system.broker_url, heartbeat_s=60, name="drill")
    with (
        opened_stores(settings) as stores,
        closing(RabbitPublisher(connection, timeout_s=5)) as publisher,
        closing(RabbitQueues(connection, patience_s=settings.lease_s)) as queues,
    ):
        wait_for(lambda: publisher.is_open, what="the courier's publisher is connected")
        evidence = Evidence()
        yield (
            stores,
            [
                *duties_at_the_queues(settings, stores, queues, evidence),
                *duties_at_the_store(settings, stores, publisher, evidence),
            ],
        )


def _template(stores: Stores, jobs: Collection[dict[str, Any]]) -> Mapping[str, Any]:
    """Record and publish a job as the API does; return its document."""
    stores.ensure_indexes()
    job = a_job(model="echo")
    stores.jobs.add(job, numbered(1))
    stores.jobs.mark_published(job)
    document = jobs.find_one_and_delete({"_id": job.job_id})
    assert document is not None
    return document


def _fill(
    run: Run, jobs: Collection[dict[str, Any]], template: Mapping[str, Any], count: int
) -> None:
    """Let *count* jobs like *template* wait, the oldest of them for hours, with their messages."""
    with run.system.channel() as channel:
        for start in range(0, count, _AT_ONCE):
            records = [_aged(template, count - number) for number in range(start, start + _AT_ONCE)]
            # In a transaction nx-27017 commits once, not for each: a tenth of the time.
            with jobs.database.client.start_session() as session, session.start_transaction():
                jobs.insert_many(records, session=session)
            for record in records:
                body = ClassifyMessage.for_job(from_document(record)).encode()
                channel.basic_publish(EXCHANGE, ROUTING_KEY, body, _PERSISTENT)
        # Confirms would take minutes. But RabbitMQ 3.10 may drop the last messages of a channel
        # that is closed before the queue has them.
        wait_for(lambda: _length(run) == count, within_s=_QUEUED_WITHIN_S, what="all are queued")


def _aged(template: Mapping[str, Any], age: int) -> dict[str, Any]:
    times_ms = {
        name: value - age * _APART_MS for name, value in template.items() if name.endswith("_ms")
    }
    return {**template, **times_ms, "_id": new_job_id()}


def _repeat(duties: Sequence[Duty], *, at_least: int) -> float:
    """Do *duties* many times, long enough for a conclusion; return the time of a round."""
    started_s, rounds = time.monotonic(), 0
    while rounds < at_least or time.monotonic() - started_s < 3 * _LEASE_S:
        for duty in duties:
            duty()
        rounds += 1
    return round((time.monotonic() - started_s) / rounds * 1000, 1)


def _lose_some(run: Run) -> None:
    """Take some messages out of the middle of the queue, and let the consumers come back."""
    count = _SHORT_JOBS if run.short else _JOBS
    run.clients.submit_many(count, Order.WAIT, 1)
    # The courier publishes what RabbitMQ has not confirmed to the api in time.
    wait_for(lambda: _length(run) == count, within_s=_QUEUED_WITHIN_S, what="all are queued")
    lost = _take_out(run, count)
    for consumer in run.system.consumers:
        consumer.launch()
    run.wait_for_all_ends(within_s=_ENDED_WITHIN_S)
    with run.system.database() as database:
        again = {
            document["_id"]
            for document in database["jobs"].find({"republished": {"$exists": True}}, {"_id": True})
        }
    run.notes["lost in the middle"] = len(lost)
    run.notes["of them published again"] = len(lost & again)
    run.expect(lost <= again, f"lost, and done without being published again: {lost - again}")
    run.expect(again <= lost, f"published again, though not lost: {again - lost}")


def _take_out(run: Run, count: int) -> set[str]:
    """Take random messages out of the middle of *count*; return their jobs."""
    middle = range(count // 5, count * 4 // 5)
    taken = set(run.chance.sample(middle, round(count * _LOST_SHARE)))
    for courier in run.system.couriers:
        courier.freeze()  # it would look into the queue while nothing is in it
    with run.system.channel() as channel:
        channel.confirm_delivery()
        # A requeued message would lose its place, so all are taken and put back.
        bodies = [channel.basic_get(QUEUE, auto_ack=True)[2] or b"" for _ in range(count)]
        for place, body in enumerate(bodies):
            if place not in taken:
                channel.basic_publish(EXCHANGE, ROUTING_KEY, body, _PERSISTENT)
    for courier in run.system.couriers:
        courier.thaw()
    return {ClassifyMessage.decode(bodies[place]).id for place in taken}


def _length(run: Run) -> int:
    with run.system.channel() as channel:
        return message_count(channel)


DRILLS = (
    Drill(
        name="deep-queue",
        harm="jobs waiting by the ten thousand; one message in twenty lost in the middle",
        do=_deepen,
        plan=Plan(consumers=2, settings=_PATIENT),
        loses_messages=True,
        burns_attempts=False,
    ),
)
