"""What the courier asks of a store, whatever it is made of."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from common.jobs import Job, JobState
from common.problems.failures import ENGINE_DIED
from tests.contract.conftest import PUBLISH_AFTER_S, StoreUnderTest
from tests.examples import OWNER, a_job

REASON = ENGINE_DIED.failure("It was killed by SIGSEGV.")
FOR_EVER_MS = 2**60


def recorded(store: StoreUnderTest, **changes: Any) -> Job:
    job = a_job(**changes)
    store.jobs.add(job, b"pixels")
    return job


def published(store: StoreUnderTest) -> Job:
    job = recorded(store)
    store.jobs.mark_published(job)
    return stored(store, job)


def stored(store: StoreUnderTest, job: Job) -> Job:
    found = store.jobs.get(job.job_id)
    assert found is not None
    return found


def claimed(store: StoreUnderTest, job: Job) -> Job:
    found = store.jobs.claim(job.job_id, fence=job.fence, owner=OWNER)
    assert found is not None
    return found


def waiting(store: StoreUnderTest, queued_before_ms: int = FOR_EVER_MS) -> list[Job]:
    return list(store.jobs.waiting(queued_before_ms=queued_before_ms, at_most=1000))


def test_a_published_job_waits_from_the_moment_of_its_publishing(store: StoreUnderTest) -> None:
    store.pass_time(10)
    job = published(store)

    assert waiting(store, store.now_ms()) == []
    assert waiting(store, store.now_ms() + 1) == [job]


def test_a_job_that_nobody_has_published_does_not_wait_in_the_queue(store: StoreUnderTest) -> None:
    recorded(store)

    assert waiting(store) == []


def test_a_job_that_moved_on_waits_no_more(store: StoreUnderTest) -> None:
    taken, failed, cancelled = published(store), published(store), published(store)

    claimed(store, taken)
    store.jobs.save(failed.fail(REASON), previous=failed)
    store.jobs.save(cancelled.cancel(), previous=cancelled)

    assert waiting(store) == []


def test_a_claim_that_came_before_the_note_of_the_publishing_leaves_nothing_to_wait_for(
    store: StoreUnderTest,
) -> None:
    job = recorded(store)
    claimed(store, job)

    store.jobs.mark_published(job)

    store.pass_time(PUBLISH_AFTER_S + 1)
    assert waiting(store) == []
    assert store.jobs.take_unpublished(lease_s=5) is None


def test_of_many_waiting_jobs_some_are_listed(store: StoreUnderTest) -> None:
    for _ in range(5):
        published(store)

    assert len(store.jobs.waiting(queued_before_ms=FOR_EVER_MS, at_most=3)) == 3


def test_a_lost_job_is_due_again_and_counts_it(store: StoreUnderTest) -> None:
    job = published(store)

    assert store.jobs.publish_again(job, after_s=0, queued_before_ms=FOR_EVER_MS)

    assert waiting(store) == []
    due = store.jobs.take_unpublished(lease_s=5)
    assert due is not None
    assert (due.job_id, due.state, due.fence) == (job.job_id, JobState.PENDING, job.fence)
    assert due.republished == 1


def test_a_lost_job_is_due_only_after_its_pause(store: StoreUnderTest) -> None:
    job = published(store)

    store.jobs.publish_again(job, after_s=30)

    store.pass_time(29)
    assert store.jobs.take_unpublished(lease_s=5) is None
    store.pass_time(2)
    assert store.jobs.take_unpublished(lease_s=5) is not None


def test_a_job_that_was_published_again_waits_again(store: StoreUnderTest) -> None:
    store.jobs.publish_again(published(store), after_s=0)
    due = store.jobs.take_unpublished(lease_s=5)
    assert due is not None
    store.pass_time(60)

    store.jobs.mark_published(due)

    [again] = waiting(store)
    assert (again.job_id, again.republished) == (due.job_id, 1)
    assert waiting(store, store.now_ms()) == []


@pytest.mark.parametrize("how", ["claimed", "failed", "given back", "due", "published later"])
def test_a_job_that_is_not_lost_any_more_is_left_alone(store: StoreUnderTest, how: str) -> None:
    job = published(store)
    before_ms = store.now_ms() + 1
    store.pass_time(1)
    match how:
        case "claimed":
            claimed(store, job)
        case "failed":
            store.jobs.save(job.fail(REASON), previous=job)
        case "given back":
            processing = claimed(store, job)
            store.jobs.save(processing.give_back(REASON, max_attempts=3), previous=processing)
        case "due":
            store.jobs.publish_again(job, after_s=0)
        case "published later":
            store.jobs.mark_published(job)
    known = stored(store, job)

    assert not store.jobs.publish_again(job, after_s=0, queued_before_ms=before_ms)

    assert stored(store, job) == known


def test_of_many_couriers_that_find_a_job_lost_one_publishes_it(store: StoreUnderTest) -> None:
    job = published(store)
    winners: list[bool] = []
    barrier = threading.Barrier(6)

    def publish_again() -> None:
        barrier.wait()
        if store.jobs.publish_again(job, after_s=0, queued_before_ms=FOR_EVER_MS):
            winners.append(True)

    threads = [threading.Thread(target=publish_again) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(winners) == 1
    assert stored(store, job).republished == 1


def test_a_publisher_that_is_late_by_a_loss_notes_nothing(store: StoreUnderTest) -> None:
    job = recorded(store)
    store.jobs.mark_published(job)
    store.jobs.publish_again(job, after_s=0)

    store.jobs.mark_published(job)

    assert waiting(store) == []
    assert store.jobs.take_unpublished(lease_s=5) is not None


def test_the_count_of_losses_outlasts_a_claim_and_a_giving_back(store: StoreUnderTest) -> None:
    job = published(store)
    store.jobs.publish_again(job, after_s=0)

    processing = claimed(store, job)
    store.jobs.save(processing.give_back(REASON, max_attempts=3), previous=processing)

    assert stored(store, job).republished == 1


def test_without_a_job_at_work_there_is_no_newest_claim(store: StoreUnderTest) -> None:
    published(store)

    assert store.jobs.newest_claim_ms() is None


def test_the_newest_claim_tells_since_when_its_job_had_waited(store: StoreUnderTest) -> None:
    first = recorded(store)
    store.pass_time(10)
    second_ms, second = store.now_ms(), recorded(store)
    store.pass_time(10)
    recorded(store)
    store.pass_time(10)

    claimed(store, second)
    claimed(store, first)

    assert store.jobs.newest_claim_ms() == second_ms


def test_without_a_pending_job_none_is_the_oldest(store: StoreUnderTest) -> None:
    claimed(store, recorded(store))

    assert store.jobs.oldest_waiting_ms() is None


@pytest.mark.parametrize("first", [recorded, published], ids=["unpublished", "published"])
@pytest.mark.parametrize("second", [recorded, published], ids=["unpublished", "published"])
def test_the_oldest_pending_job_tells_since_when_it_waits(
    store: StoreUnderTest,
    first: Callable[[StoreUnderTest], Job],
    second: Callable[[StoreUnderTest], Job],
) -> None:
    claimed(store, recorded(store))
    store.pass_time(10)
    first_ms = store.now_ms()
    first(store)
    store.pass_time(10)
    second(store)

    assert store.jobs.oldest_waiting_ms() == first_ms


def test_a_job_that_was_given_back_has_waited_only_since_then(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))
    store.pass_time(10)
    given_back_ms, given_back = store.now_ms(), processing.give_back(REASON, max_attempts=3)
    store.jobs.save(given_back, previous=processing)
    store.pass_time(10)

    claimed(store, given_back)

    assert store.jobs.newest_claim_ms() == given_back_ms


@pytest.mark.parametrize("seed", range(12))
def test_a_pending_job_is_either_due_or_waiting_and_any_other_is_neither(
    store: StoreUnderTest, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 (no secret)
    known = [recorded(store)]

    for _ in range(25):
        _move_somehow(store, chance, known)

    job = stored(store, known[0])
    is_waiting = job.job_id in {each.job_id for each in waiting(store)}
    store.pass_time(10**6)
    due = store.jobs.take_unpublished(lease_s=5)
    expected = 1 if job.state is JobState.PENDING else 0
    assert is_waiting + (due is not None) == expected


def _move_somehow(store: StoreUnderTest, chance: random.Random, known: list[Job]) -> None:
    """Change the job as somebody might, perhaps based on an older state of it."""
    current, seen = stored(store, known[0]), chance.choice(known)
    match chance.randrange(7):
        case 0 | 1:
            store.jobs.mark_published(seen)
        case 2:
            store.jobs.publish_again(seen, after_s=chance.choice([0, 5]))
        case 3:
            store.jobs.claim(seen.job_id, fence=seen.fence, owner=OWNER)
        case 4 if current.state is JobState.PROCESSING:
            given_back = current.give_back(REASON, max_attempts=100)
            store.jobs.save(given_back, previous=current)
        case 5 if not current.is_finished and chance.random() < 0.3:
            store.jobs.save(current.fail(REASON), previous=current)
        case 6 if current.state is JobState.FAILED:
            store.jobs.save(current.retry(), previous=current)
        case _:
            store.jobs.take_unpublished(lease_s=5)
            store.pass_time(2)
    known.append(stored(store, known[0]))
