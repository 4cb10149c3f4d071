"""What every store of jobs does, whatever it is made of."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from common.errors import RepeatedSubmissionError, StaleJobError, StoreRefusedError
from common.jobs import Idempotency, Job, JobState, OwnerId, Prediction, Result, new_job_id
from common.problems.failures import ENGINE_DIED
from tests.contract.conftest import PUBLISH_AFTER_S, StoreUnderTest
from tests.examples import OWNER, a_job

KEY = Idempotency(key="8e03978e", fingerprint="f" * 64)
RESULT = Result(
    predictions=(Prediction("7", 0.9375), Prediction("1", 0.0625)),
    model="digits",
    model_version="sha256:0",
    queue_ms=1.5,
    inference_ms=2.25,
)
REASON = ENGINE_DIED.failure("It was killed by SIGSEGV.")


def recorded(store: StoreUnderTest, **changes: Any) -> Job:
    job = a_job(**changes)
    store.jobs.add(job, b"pixels")
    return job


def claimed(store: StoreUnderTest, job: Job, owner: OwnerId = OWNER) -> Job:
    found = store.jobs.claim(job.job_id, fence=job.fence, owner=owner)
    assert found is not None
    return found


def test_a_recorded_job_is_found_as_it_was(store: StoreUnderTest) -> None:
    metadata = {"text": "ä", "whole": 2**62, "real": 1.5, "yes": True, "none": None}
    job = recorded(store, metadata=metadata)

    found = store.jobs.get(job.job_id)

    assert found == job
    assert found is not None
    assert found.metadata["yes"] is True


def test_a_second_job_with_the_same_key_is_refused_and_leaves_no_image(
    store: StoreUnderTest,
) -> None:
    first = recorded(store, idempotency=KEY)
    second = a_job(idempotency=KEY)

    with pytest.raises(RepeatedSubmissionError):
        store.jobs.add(second, b"pixels")

    assert store.jobs.find_by_key(KEY.key) == first
    assert store.jobs.get(second.job_id) is None
    assert store.jobs.image(second.job_id) is None


def test_jobs_without_a_key_do_not_get_in_each_others_way(store: StoreUnderTest) -> None:
    first, second = recorded(store), recorded(store)

    assert store.jobs.get(first.job_id) == first
    assert store.jobs.get(second.job_id) == second
    assert store.jobs.find_by_key("nobody's") is None


def test_of_many_submissions_with_one_key_at_once_one_wins(store: StoreUnderTest) -> None:
    winners: list[Job] = []
    barrier = threading.Barrier(8)

    def submit(_number: int) -> None:
        job = a_job(idempotency=KEY)
        barrier.wait()
        try:
            store.jobs.add(job, b"pixels")
        except RepeatedSubmissionError:
            return
        winners.append(job)

    _in_threads(submit, 8)

    assert len(winners) == 1
    assert store.jobs.find_by_key(KEY.key) == winners[0]


def test_an_unknown_job_is_none_and_so_is_its_image(store: StoreUnderTest) -> None:
    assert store.jobs.get(new_job_id()) is None
    assert store.jobs.image(new_job_id()) is None


def test_the_image_is_kept_byte_by_byte(store: StoreUnderTest) -> None:
    job = a_job()
    image = bytes(range(256)) * 300

    store.jobs.add(job, image)

    assert store.jobs.image(job.job_id) == image


def test_a_claim_counts_an_attempt_names_the_owner_and_raises_the_fence(
    store: StoreUnderTest,
) -> None:
    job = recorded(store)

    found = claimed(store, job)

    assert (found.state, found.owner) == (JobState.PROCESSING, OWNER)
    assert (found.attempts, found.fence) == (1, 1)
    assert found.started_at is not None
    assert store.jobs.get(job.job_id) == found


def test_a_claim_at_another_fence_or_of_an_unknown_job_takes_nothing(
    store: StoreUnderTest,
) -> None:
    job = recorded(store)

    assert store.jobs.claim(job.job_id, fence=1, owner=OWNER) is None
    assert store.jobs.claim(new_job_id(), fence=0, owner=OWNER) is None


def test_a_second_claim_takes_nothing(store: StoreUnderTest) -> None:
    job = recorded(store)
    claimed(store, job)

    assert store.jobs.claim(job.job_id, fence=0, owner=OwnerId("other")) is None


def test_of_many_claims_at_once_one_wins(store: StoreUnderTest) -> None:
    job = recorded(store)
    winners: list[Job] = []
    barrier = threading.Barrier(8)

    def claim(number: int) -> None:
        barrier.wait()
        found = store.jobs.claim(job.job_id, fence=0, owner=OwnerId(f"owner-{number}"))
        if found is not None:
            winners.append(found)

    _in_threads(claim, 8)

    assert len(winners) == 1
    assert store.jobs.get(job.job_id) == winners[0]


def test_a_result_is_saved_and_read_as_it_was(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))

    store.jobs.save(processing.succeed(RESULT), previous=processing)

    found = store.jobs.get(processing.job_id)
    assert found is not None
    assert (found.state, found.result, found.owner) == (JobState.DONE, RESULT, None)
    assert found.finished_at is not None


def test_a_failure_is_saved_with_its_reason(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))

    store.jobs.save(processing.fail(REASON), previous=processing)

    found = store.jobs.get(processing.job_id)
    assert found is not None
    assert (found.state, found.error) == (JobState.FAILED, REASON)


def test_a_job_that_somebody_moved_is_not_overwritten(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))
    store.jobs.save(processing.fail(REASON), previous=processing)

    with pytest.raises(StaleJobError):
        store.jobs.save(processing.succeed(RESULT), previous=processing)

    found = store.jobs.get(processing.job_id)
    assert found is not None
    assert found.state is JobState.FAILED


def test_an_owner_that_was_thought_dead_cannot_overwrite_the_next_ones_work(
    store: StoreUnderTest,
) -> None:
    zombie = claimed(store, recorded(store))
    given_back = zombie.give_back(REASON, max_attempts=3)
    store.jobs.save(given_back, previous=zombie)
    current = claimed(store, given_back, OwnerId("next"))

    with pytest.raises(StaleJobError):
        store.jobs.save(zombie.succeed(RESULT), previous=zombie)

    assert store.jobs.get(zombie.job_id) == current


def test_a_job_given_back_can_be_claimed_at_its_new_fence_only(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))

    store.jobs.save(processing.give_back(REASON, max_attempts=3), previous=processing)

    assert store.jobs.claim(processing.job_id, fence=1, owner=OWNER) is None
    again = store.jobs.claim(processing.job_id, fence=2, owner=OWNER)
    assert again is not None
    assert (again.attempts, again.fence) == (2, 3)


def test_a_retried_job_is_due_at_once_and_can_be_claimed_at_its_new_fence(
    store: StoreUnderTest,
) -> None:
    processing = claimed(store, recorded(store))
    store.jobs.save(processing.give_back(REASON, max_attempts=1), previous=processing)
    failed = store.jobs.get(processing.job_id)
    assert failed is not None
    assert [setback.reason for setback in failed.setbacks] == [REASON]

    store.jobs.save(failed.retry(), previous=failed)

    waiting = store.jobs.get(processing.job_id)
    assert waiting == failed.retry()
    assert store.jobs.take_unpublished(lease_s=5) == waiting
    again = claimed(store, failed.retry())
    assert (again.attempts, again.setbacks, again.error) == (1, (), None)


def test_a_retried_job_does_not_expire(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))
    store.jobs.save(processing.fail(REASON), previous=processing)
    failed = store.jobs.get(processing.job_id)
    assert failed is not None

    store.jobs.save(failed.retry(), previous=failed)

    store.pass_time(10**6)
    assert store.jobs.expire(retention_s=60) == 0
    assert store.jobs.image(processing.job_id) == b"pixels"


def test_a_job_is_due_for_publishing_only_after_its_time(store: StoreUnderTest) -> None:
    job = recorded(store)
    assert store.jobs.take_unpublished(lease_s=5) is None

    store.pass_time(PUBLISH_AFTER_S + 1)

    assert store.jobs.take_unpublished(lease_s=5) == job


def test_a_published_job_is_not_due(store: StoreUnderTest) -> None:
    job = recorded(store)

    store.jobs.mark_published(job)

    store.pass_time(PUBLISH_AFTER_S + 1)
    assert store.jobs.take_unpublished(lease_s=5) is None
    found = store.jobs.get(job.job_id)
    assert found is not None
    assert found.published_at is not None


def test_a_claimed_job_is_not_due_though_nobody_noted_its_publishing(
    store: StoreUnderTest,
) -> None:
    claimed(store, recorded(store))

    store.pass_time(PUBLISH_AFTER_S + 1)

    assert store.jobs.take_unpublished(lease_s=5) is None


def test_noting_the_publishing_of_a_job_that_moved_on_changes_nothing(
    store: StoreUnderTest,
) -> None:
    job = recorded(store)
    processing = claimed(store, job)

    store.jobs.mark_published(job)

    assert store.jobs.get(job.job_id) == processing


def test_a_job_given_back_is_due_at_once(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))

    store.jobs.save(processing.give_back(REASON, max_attempts=3), previous=processing)

    due = store.jobs.take_unpublished(lease_s=5)
    assert due is not None
    assert (due.job_id, due.fence) == (processing.job_id, 2)


def test_couriers_share_what_is_due(store: StoreUnderTest) -> None:
    jobs = {recorded(store).job_id for _ in range(6)}
    store.pass_time(PUBLISH_AFTER_S + 1)
    taken: list[Job] = []

    def take(_number: int) -> None:
        while (job := store.jobs.take_unpublished(lease_s=5)) is not None:
            taken.append(job)

    _in_threads(take, 3)

    assert sorted(job.job_id for job in taken) == sorted(jobs)


def test_what_a_courier_took_and_did_not_publish_is_due_again(store: StoreUnderTest) -> None:
    job = recorded(store)
    store.pass_time(PUBLISH_AFTER_S + 1)
    store.jobs.take_unpublished(lease_s=5)

    store.pass_time(6)

    assert store.jobs.take_unpublished(lease_s=5) == job


def test_the_jobs_that_are_being_worked_on_are_listed(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))
    recorded(store)

    assert list(store.jobs.processing()) == [processing]


def test_a_finished_job_expires_with_its_image_after_its_time_of_retention(
    store: StoreUnderTest,
) -> None:
    processing = claimed(store, recorded(store))
    store.jobs.save(processing.succeed(RESULT), previous=processing)

    store.pass_time(59)
    assert store.jobs.expire(retention_s=60) == 0
    store.pass_time(2)
    assert store.jobs.expire(retention_s=60) == 1

    assert store.jobs.get(processing.job_id) is None
    assert store.jobs.image(processing.job_id) is None


def test_an_unfinished_job_never_expires(store: StoreUnderTest) -> None:
    waiting, processing = recorded(store), claimed(store, recorded(store))

    store.pass_time(10**6)

    assert store.jobs.expire(retention_s=60) == 0
    assert store.jobs.get(waiting.job_id) == waiting
    assert store.jobs.image(processing.job_id) == b"pixels"


@pytest.mark.parametrize("is_claimed", [False, True], ids=["waiting", "claimed"])
def test_a_cancelled_job_has_ended_and_is_nobodys(
    store: StoreUnderTest, *, is_claimed: bool
) -> None:
    job = recorded(store)
    unfinished = claimed(store, job) if is_claimed else job

    store.jobs.save(unfinished.cancel(), previous=unfinished)

    found = store.jobs.get(job.job_id)
    assert found is not None
    assert (found.state, found.owner) == (JobState.CANCELLED, None)
    assert (found.attempts, found.fence) == (unfinished.attempts, unfinished.fence + 1)
    assert found.finished_at is not None
    assert list(store.jobs.processing()) == []


def test_a_cancelled_job_can_neither_be_claimed_nor_published(store: StoreUnderTest) -> None:
    job = recorded(store)

    store.jobs.save(job.cancel(), previous=job)
    store.jobs.mark_published(job)

    store.pass_time(PUBLISH_AFTER_S + 1)
    assert store.jobs.take_unpublished(lease_s=5) is None
    for fence in range(3):
        assert store.jobs.claim(job.job_id, fence=fence, owner=OWNER) is None
    found = store.jobs.get(job.job_id)
    assert found is not None
    assert (found.state, found.published_at) == (JobState.CANCELLED, None)


def test_the_result_of_a_job_that_was_cancelled_meanwhile_is_not_saved(
    store: StoreUnderTest,
) -> None:
    processing = claimed(store, recorded(store))
    store.jobs.save(processing.cancel(), previous=processing)

    with pytest.raises(StaleJobError):
        store.jobs.save(processing.succeed(RESULT), previous=processing)

    found = store.jobs.get(processing.job_id)
    assert found is not None
    assert (found.state, found.result) == (JobState.CANCELLED, None)


def test_a_cancelled_job_expires_like_any_that_ended_though_its_image_is_gone(
    store: StoreUnderTest,
) -> None:
    job = recorded(store)
    store.jobs.save(job.cancel(), previous=job)
    store.jobs.delete_image(job.job_id)

    store.pass_time(61)

    assert store.jobs.expire(retention_s=60) == 1
    assert store.jobs.get(job.job_id) is None


def test_an_image_is_deleted_alone_and_a_second_time_does_no_harm(store: StoreUnderTest) -> None:
    job, other = recorded(store), recorded(store)

    store.jobs.delete_image(job.job_id)
    store.jobs.delete_image(job.job_id)

    assert store.jobs.image(job.job_id) is None
    assert store.jobs.get(job.job_id) == job
    assert store.jobs.image(other.job_id) == b"pixels"


def test_a_deleted_job_is_gone_with_its_image_and_its_key_is_free(store: StoreUnderTest) -> None:
    job, other = recorded(store, idempotency=KEY), recorded(store)
    processing = claimed(store, job)
    failed = processing.fail(REASON)
    store.jobs.save(failed, previous=processing)

    store.jobs.delete(failed)

    assert store.jobs.get(job.job_id) is None
    assert store.jobs.image(job.job_id) is None
    assert store.jobs.find_by_key(KEY.key) is None
    assert store.jobs.get(other.job_id) == other
    store.pass_time(10**6)
    assert store.jobs.expire(retention_s=60) == 0


def test_a_job_that_was_retried_meanwhile_is_not_deleted(store: StoreUnderTest) -> None:
    processing = claimed(store, recorded(store))
    failed = processing.fail(REASON)
    store.jobs.save(failed, previous=processing)
    store.jobs.save(failed.retry(), previous=failed)

    with pytest.raises(StaleJobError):
        store.jobs.delete(failed)

    assert store.jobs.get(processing.job_id) == failed.retry()


def test_a_job_that_is_not_there_cannot_be_deleted(store: StoreUnderTest) -> None:
    with pytest.raises(StaleJobError):
        store.jobs.delete(a_job())


def test_a_save_of_a_job_that_was_never_recorded_is_stale(store: StoreUnderTest) -> None:
    job = a_job()

    with pytest.raises(StaleJobError):
        store.jobs.save(job.claim(OWNER), previous=job)


def test_the_queue_time_runs_from_the_record_to_the_claim(store: StoreUnderTest) -> None:
    found = claimed(store, recorded(store))

    assert found.started_at is not None
    expected_ms = (found.started_at - found.created_at).total_seconds() * 1000
    assert found.queue_ms == expected_ms


def _in_threads(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("label", ["half \ud800", "x" * 17_000_000], ids=["surrogate", "17 MB"])
def test_what_the_store_cannot_take_is_a_refusal_and_moves_nothing(
    store: StoreUnderTest, request: pytest.FixtureRequest, label: str
) -> None:
    if "nx-27017" not in request.node.name:
        pytest.skip("no driver encodes anything here")
    job = claimed(store, recorded(store))
    unfit = job.succeed(replace(RESULT, predictions=(Prediction(label, 1.0),)))

    with pytest.raises(StoreRefusedError):
        store.jobs.save(unfit, previous=job)

    assert store.jobs.get(job.job_id) == job
