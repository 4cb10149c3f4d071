"""What the courier publishes, and which jobs it rescues."""

from datetime import UTC, datetime, timedelta

import pytest

from common.errors import BrokerUnavailableError, StoreRefusedError
from common.jobs import Job, JobId, JobState, OwnerId
from common.problems.failures import ENGINE_DIED, OWNER_STUCK
from courier.duties.relay import relay
from courier.duties.rescue import Rescuer
from tests.examples import OWNER, a_job, a_worker
from tests.fakes import InMemoryRegistry, InMemoryStore, RecordingPublisher


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


def test_a_job_that_stayed_unpublished_is_published_once(store: InMemoryStore) -> None:
    publisher = RecordingPublisher()
    job = a_job()
    store.add(job, b"pixels")
    store.now_s += 6

    assert relay(store, publisher, at_most=10) == 1
    assert relay(store, publisher, at_most=10) == 0

    assert [message.id for message in publisher.published] == [job.job_id]


def test_a_young_job_is_left_to_the_api(store: InMemoryStore) -> None:
    publisher = RecordingPublisher()
    store.add(a_job(), b"pixels")

    assert relay(store, publisher, at_most=10) == 0
    assert publisher.published == []


def test_a_round_publishes_no_more_than_it_may(store: InMemoryStore) -> None:
    publisher = RecordingPublisher()
    for _ in range(5):
        store.add(a_job(), b"pixels")
    store.now_s += 6

    assert relay(store, publisher, at_most=3) == 3
    assert relay(store, publisher, at_most=3) == 2


def test_without_a_broker_the_job_stays_due(store: InMemoryStore) -> None:
    publisher = RecordingPublisher()
    publisher.is_open = False
    store.add(a_job(), b"pixels")
    store.now_s += 6
    with pytest.raises(BrokerUnavailableError):
        relay(store, publisher, at_most=10)

    publisher.is_open = True
    store.now_s += 6

    assert relay(store, publisher, at_most=10) == 1


def test_a_job_given_back_is_published_with_its_new_fence(store: InMemoryStore) -> None:
    publisher = RecordingPublisher()
    held = a_job().claim(OWNER)
    store.jobs[held.job_id] = held
    reason = ENGINE_DIED.failure("")
    store.save(held.give_back(reason, max_attempts=3), previous=held)

    relay(store, publisher, at_most=10)

    assert [message.fence for message in publisher.published] == [2]


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def rescuer(store: InMemoryStore, registry: InMemoryRegistry, *, confirm_s: float = 0) -> Rescuer:
    return Rescuer(
        outbox=store,
        registry=registry,
        now_ms=lambda: int(NOW.timestamp() * 1000),
        max_attempts=3,
        overdue_s=85,
        confirm_s=confirm_s,
    )


@pytest.mark.parametrize(("held_s", "rescued"), [(84, 0), (86, 1)])
def test_a_job_that_is_held_for_too_long_is_given_back_though_the_heart_beats(
    held_s: int, rescued: int
) -> None:
    held = a_job(started_at=NOW - timedelta(seconds=held_s)).claim(OWNER)
    store = InMemoryStore(held)

    assert rescuer(store, InMemoryRegistry(a_worker(OWNER))).rescue() == rescued

    setbacks = store.jobs[held.job_id].setbacks
    assert [setback.reason for setback in setbacks] == [OWNER_STUCK] * rescued


def test_the_job_of_a_dead_consumer_is_given_back() -> None:
    held = a_job().claim(OwnerId("dead"))
    store = InMemoryStore(held)

    assert rescuer(store, InMemoryRegistry(a_worker(OWNER))).rescue() == 1

    given_back = store.jobs[held.job_id]
    assert (given_back.state, given_back.fence) == (JobState.PENDING, 2)


def test_the_job_of_a_living_consumer_is_left_alone() -> None:
    held = a_job().claim(OWNER)
    store = InMemoryStore(held)

    assert rescuer(store, InMemoryRegistry(a_worker(OWNER))).rescue() == 0
    assert store.jobs[held.job_id] == held


def test_a_job_that_outlived_its_last_attempt_fails_and_says_why() -> None:
    held = a_job(attempts=2).claim(OwnerId("dead"))
    store = InMemoryStore(held)

    rescuer(store, InMemoryRegistry()).rescue()

    failed = store.jobs[held.job_id]
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.type.endswith("consumer-died")


def test_a_silent_owner_gets_time_to_speak_after_an_outage() -> None:
    held = a_job().claim(OWNER)
    store, registry = InMemoryStore(held), InMemoryRegistry()
    patient = rescuer(store, registry, confirm_s=3600)
    assert patient.rescue() == 0

    registry.beat(a_worker(OWNER))

    assert patient.rescue() == 0
    assert store.jobs[held.job_id] == held


class PickyStore(InMemoryStore):
    """Refuses to save one of its jobs."""

    unfit: JobId

    def save(self, job: Job, *, previous: Job) -> None:
        if job.job_id == self.unfit:
            raise StoreRefusedError("MongoDB: DocumentTooLarge")
        super().save(job, previous=previous)


def test_a_job_that_the_store_refuses_to_move_keeps_no_other_from_being_rescued() -> None:
    jobs = [a_job().claim(OwnerId("dead")), a_job().claim(OwnerId("dead"))]
    store = PickyStore(*jobs)
    store.unfit = jobs[0].job_id

    rescued = rescuer(store, InMemoryRegistry()).rescue()

    assert rescued == 1
    assert store.jobs[jobs[1].job_id].state is JobState.PENDING
