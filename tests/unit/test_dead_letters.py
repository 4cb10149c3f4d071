"""What the courier does with what RabbitMQ could not deliver."""

from typing import Any

import pytest
import structlog

from common.errors import BrokerUnavailableError, StoreUnavailableError
from common.jobs import Job, JobState
from common.messages import ClassifyMessage
from common.ports.queues import DeadLetter
from common.problems.failures import ENGINE_DIED
from courier.duties.dead_letters import DeadLetters, Settlement
from tests.examples import OWNER, a_job
from tests.fakes import InMemoryQueues, InMemoryStore

REASON = ENGINE_DIED.failure("")


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def queues() -> InMemoryQueues:
    return InMemoryQueues()


@pytest.fixture
def dead_letters(store: InMemoryStore, queues: InMemoryQueues) -> DeadLetters:
    return DeadLetters(queue=queues, outbox=store, lease_s=15, at_most=10)


def published(store: InMemoryStore, **changes: Any) -> Job:
    job = a_job(**changes)
    store.add(job, b"pixels")
    store.mark_published(job)
    return store.jobs[job.job_id]


def letter(job: Job, reason: str | None) -> DeadLetter:
    return DeadLetter(ClassifyMessage.for_job(job).encode(), reason)


def test_a_job_whose_message_was_rejected_fails_and_says_why(
    store: InMemoryStore, queues: InMemoryQueues, dead_letters: DeadLetters
) -> None:
    job = published(store)
    queues.dead.append(letter(job, "rejected"))

    assert dead_letters.settle() == 1

    failed = store.jobs[job.job_id]
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.type == "urn:darkroom:problem:dead-lettered"
    assert "rejected" in failed.error.detail
    assert queues.dead == []


@pytest.mark.parametrize("reason", ["delivery_limit", "expired", "maxlen", None, "some later one"])
def test_a_job_of_which_nobody_said_anything_is_published_again(
    store: InMemoryStore, queues: InMemoryQueues, dead_letters: DeadLetters, reason: str | None
) -> None:
    job = published(store)
    queues.dead.append(letter(job, reason))

    dead_letters.settle()

    due = store.take_unpublished(lease_s=5)
    assert due is not None
    assert (due.job_id, due.state, due.republished) == (job.job_id, JobState.PENDING, 1)


def test_a_message_that_dies_again_and_again_is_published_after_a_pause(
    store: InMemoryStore, queues: InMemoryQueues, dead_letters: DeadLetters
) -> None:
    job = published(store)
    queues.dead.append(letter(job, "expired"))
    dead_letters.settle()
    again = store.take_unpublished(lease_s=5)
    assert again is not None
    store.mark_published(again)
    queues.dead.append(letter(job, "expired"))

    dead_letters.settle()

    assert store.take_unpublished(lease_s=5) is None
    store.now_s += 16
    assert store.take_unpublished(lease_s=5) is not None


@pytest.mark.parametrize("reason", ["rejected", "delivery_limit"])
def test_a_dead_letter_of_a_job_that_moved_on_is_dropped(
    store: InMemoryStore, queues: InMemoryQueues, dead_letters: DeadLetters, reason: str
) -> None:
    taken, given_back, unknown = published(store), published(store), a_job()
    processing = store.claim(taken.job_id, fence=0, owner=OWNER)
    another = store.claim(given_back.job_id, fence=0, owner=OWNER)
    assert another is not None
    store.save(another.give_back(REASON, max_attempts=3), previous=another)
    waiting_again = store.jobs[given_back.job_id]
    queues.dead += [letter(job, reason) for job in (taken, given_back, unknown)]

    dead_letters.settle()

    assert dead_letters.totals == {Settlement.DROPPED: 3}
    assert store.jobs == {taken.job_id: processing, given_back.job_id: waiting_again}


def test_a_dead_letter_of_a_job_that_is_due_anyway_is_dropped(
    store: InMemoryStore, queues: InMemoryQueues, dead_letters: DeadLetters
) -> None:
    job = a_job()
    store.add(job, b"pixels")
    queues.dead.append(letter(job, "expired"))

    dead_letters.settle()

    assert dead_letters.totals == {Settlement.DROPPED: 1}
    assert store.jobs[job.job_id].republished == 0


def test_a_job_that_is_claimed_in_the_same_moment_does_not_fail(
    queues: InMemoryQueues,
) -> None:
    class Claiming(InMemoryStore):
        def save(self, job: Job, *, previous: Job) -> None:
            self.claim(job.job_id, fence=previous.fence, owner=OWNER)
            super().save(job, previous=previous)

    store = Claiming()
    job = published(store)
    queues.dead.append(letter(job, "rejected"))
    dead_letters = DeadLetters(queue=queues, outbox=store, lease_s=15, at_most=10)

    dead_letters.settle()

    assert dead_letters.totals == {Settlement.DROPPED: 1}
    assert store.jobs[job.job_id].state is JobState.PROCESSING


@pytest.mark.parametrize("body", [b"", b"\xff" * 10_000, b'{"id": "a", "fence": -1}'])
def test_rubbish_is_logged_and_counted_and_gone(
    queues: InMemoryQueues,
    dead_letters: DeadLetters,
    body: bytes,
) -> None:
    queues.dead.append(DeadLetter(body, "rejected"))

    with structlog.testing.capture_logs() as events:
        dead_letters.settle()

    assert queues.dead == []
    [event] = events
    assert (event["outcome"], event["totals"]) == ("malformed", {"malformed": 1})
    assert len(event["body"]) < 1000


def test_what_is_counted_adds_up_over_the_rounds(
    store: InMemoryStore, queues: InMemoryQueues, dead_letters: DeadLetters
) -> None:
    queues.dead += [letter(published(store), "rejected") for _ in range(12)]
    queues.dead += [letter(published(store), "expired") for _ in range(3)]

    assert [dead_letters.settle() for _ in range(3)] == [10, 5, 0]

    assert dead_letters.totals == {Settlement.FAILED: 12, Settlement.PUBLISHED_AGAIN: 3}


def test_without_the_store_rabbitmq_keeps_the_dead_letter(
    store: InMemoryStore, queues: InMemoryQueues, dead_letters: DeadLetters
) -> None:
    queues.dead.append(letter(published(store), "rejected"))
    store.is_down = True

    with pytest.raises(StoreUnavailableError):
        dead_letters.settle()

    assert len(queues.dead) == 1
    assert dead_letters.totals == {}


def test_without_rabbitmq_there_is_nothing_to_settle(
    queues: InMemoryQueues, dead_letters: DeadLetters
) -> None:
    queues.is_open = False

    with pytest.raises(BrokerUnavailableError):
        dead_letters.settle()


@pytest.mark.parametrize("reason", ["rejected", "expired"])
def test_a_letter_whose_job_cannot_be_read_is_dropped_and_keeps_up_no_other(
    store: InMemoryStore, queues: InMemoryQueues, dead_letters: DeadLetters, reason: str
) -> None:
    unreadable, other = published(store), published(store)
    store.unreadable.add(unreadable.job_id)
    queues.dead += [letter(unreadable, reason), letter(other, "rejected")]

    assert dead_letters.settle() == 2

    assert dead_letters.totals == {Settlement.UNREADABLE: 1, Settlement.FAILED: 1}
    assert store.jobs[unreadable.job_id] == unreadable
