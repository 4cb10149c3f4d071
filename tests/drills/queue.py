"""Drills that change what is in the queue."""

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import requests
from pika.adapters.blocking_connection import BlockingChannel
from pymongo.database import Database

from common.messages import ClassifyMessage
from common.mongo.documents import from_document
from common.rabbitmq.topology import DEAD_QUEUE, EXCHANGE, QUEUE, ROUTING_KEY
from common.settings.shared import LANES_PER_ENGINE
from testbed.broker import message_count
from testbed.echo import Order
from testbed.system import CALM, Plan
from testbed.waiting import wait_for
from tests.drills.audit import Findings
from tests.drills.drill import Drill, Run
from tests.hostile_messages import misfit, rubbish, strangers

_PURGED_JOBS: Final = 60
_BROKEN_JOBS: Final = 20
_BROKEN_WAIT: Final = 40  # hundredths of a second
_PAUSE_S: Final = 1.0  # the load lasts as long as RabbitMQ needs to find out
_TOLD_WITHIN_S: Final = 120  # RabbitMQ may need 65 s to find out
_STEPS: Final = 80
_CRASHING_JOBS: Final = 3
_CRASHED_WITHIN_S: Final = 180
_EMPTY_WITHIN_S: Final = 120
_CONSUMERS: Final = 2
# What consumers have in hand at a time, and have not claimed yet, may seem to be lost as well.
_IN_HAND: Final = _CONSUMERS * LANES_PER_ENGINE


def _purge(run: Run) -> None:
    """Purge the queue while jobs wait in it, then delete it while others wait."""
    with run.system.channel() as channel:
        for name, take in (("purged", channel.queue_purge), ("deleted", channel.queue_delete)):
            run.notes[name] = 0
            while not run.notes[name]:  # or the consumers were quicker than the clients
                run.clients.submit_many(_PURGED_JOBS, Order.WAIT, 15)
                time.sleep(run.chance.uniform(0, 1))
                run.notes[name] = take(QUEUE).method.message_count


def _what_was_taken_came_again(run: Run, findings: Findings) -> None:
    taken = run.notes["purged"] + run.notes["deleted"]
    run.expect(findings.published_again, "nothing was published again: this proves nothing")
    run.expect(
        findings.published_again <= taken + 2 * _IN_HAND,
        f"{taken} messages were taken away, no more",
    )


def _break(run: Run) -> None:
    """Break RabbitMQ's queues under load, and see both come back."""
    broker, url = run.system.broker, run.system.broker_url
    with run.clients.load(pause_s=_PAUSE_S, order=Order.WAIT, parameter=2):
        for queue, holding in ((QUEUE, 1), (DEAD_QUEUE, 0)):
            run.clients.submit_many(_BROKEN_JOBS, Order.WAIT, _BROKEN_WAIT)
            # Or the consumers were quicker than RabbitMQ's command, which starts slowly.
            while not broker.break_queue(url, queue, holding=holding):
                run.clients.submit_many(_BROKEN_JOBS, Order.WAIT, _BROKEN_WAIT)
            wait_for(
                lambda: _is_told(run), within_s=_TOLD_WITHIN_S, what="readiness says what is broken"
            )
            run.system.wait_until_ready()
            run.see_one_through()


def _is_told(run: Run) -> bool:
    answer = requests.get(f"{run.system.url}/readyz", timeout=_TOLD_WITHIN_S).json()
    return "cannot use it" in answer["checks"].get("courier", "")


def _what_was_in_it_came_again(run: Run, findings: Findings) -> None:
    run.expect(findings.published_again, "nothing was published again: this proves nothing")


def _confuse(run: Run) -> None:
    """Send every message three times among garbage; cancel and retry at random."""
    with run.system.database() as database, run.system.channel() as channel:
        confusion = _Confusion(run, database, channel)
        with run.clients.load(pause_s=0.2, order=Order.WAIT, parameter=2):
            confusion.sow()
        confusion.copy_messages()
        confusion.retry_what_crashed()
    run.notes["sent"] = confusion.sent
    run.notes["taken back"] = confusion.taken_back
    run.notes["retried"] = confusion.retried


@dataclass(slots=True)
class _Confusion:
    run: Run
    database: Database[dict[str, Any]]
    channel: BlockingChannel
    sent: int = 0
    taken_back: int = 0
    retried: int = 0
    _copied: list[str] = field(default_factory=list)
    _crashing: list[str] = field(default_factory=list)

    def sow(self) -> None:
        chance, clients = self.run.chance, self.run.clients
        bodies, unknown = rubbish(chance), strangers(chance)
        self._crashing += [
            clients.submit(Order.CRASH, states=frozenset({"failed"}), problem="engine-died")
            for _ in range(_CRASHING_JOBS)
        ]
        wait_for(lambda: self.run.ledger.expected.keys() - self._crashing, what="a job")
        for _ in range(_STEPS):
            time.sleep(chance.uniform(0, 0.2))
            self.copy_messages()
            self._send(next(bodies))
            self._send(next(unknown))
            self._send(misfit(chance.choice(self._copied), chance))
            if chance.random() < 0.2:
                self._take_back()
            if chance.random() < 0.2:
                self.retried += clients.retry(chance.choice(self._crashing))

    def copy_messages(self) -> None:
        """Send the message of every new job twice more, as its record describes it."""
        for job_id in self.run.ledger.expected.keys() - self._copied:
            document = self.database["jobs"].find_one({"_id": job_id})
            if document is not None:
                body = ClassifyMessage.for_job(from_document(document)).encode()
                self._send(body)
                self._send(body)
            self._copied.append(job_id)

    def retry_what_crashed(self) -> None:
        for job_id in self._crashing:
            has_ended = partial(self.run.witness.has_ended, job_id)
            wait_for(has_ended, within_s=_CRASHED_WITHIN_S, what="a job has failed")
            self.retried += self.run.clients.retry(job_id)

    def _take_back(self) -> None:
        job_id = self.run.chance.choice(self._copied)
        if job_id not in self._crashing:
            self.run.ledger.may_end(job_id, "cancelled", "deleted")
            self.taken_back += self.run.clients.cancel(job_id)

    def _send(self, body: bytes) -> None:
        self.channel.basic_publish(EXCHANGE, ROUTING_KEY, body)
        self.sent += 1


def _queues_are_empty(run: Run, _findings: Findings) -> None:
    """Expect that every message was read and every dead letter settled."""
    with run.system.channel() as channel:
        for queue in (QUEUE, DEAD_QUEUE):
            is_empty = partial(_is_empty, channel, queue)
            wait_for(is_empty, within_s=_EMPTY_WITHIN_S, what=f"{queue} is empty")


def _is_empty(channel: BlockingChannel, queue: str) -> bool:
    return message_count(channel, queue) == 0


DRILLS = (
    Drill(
        name="broken-queue",
        harm="both queues broken under load, so that RabbitMQ has them and cannot use them",
        do=_break,
        plan=Plan(consumers=_CONSUMERS),
        loses_messages=True,
        burns_attempts=False,
        check=_what_was_in_it_came_again,
    ),
    Drill(
        name="queue-purge",
        harm="the queue purged, and then deleted, with jobs waiting in it",
        do=_purge,
        plan=Plan(consumers=_CONSUMERS),
        loses_messages=True,
        burns_attempts=False,
        check=_what_was_taken_came_again,
    ),
    Drill(
        name="duplicates",
        harm="every message three times; rubbish, unknown ids, wrong fences; cancels and retries",
        do=_confuse,
        plan=Plan(consumers=_CONSUMERS, settings={**CALM, "DARKROOM_MAX_ATTEMPTS": "2"}),
        burns_attempts=False,
        check=_queues_are_empty,
    ),
)
