"""The states of a job, and which moves between them are allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.jobs import LEGAL_MOVES, IllegalMoveError, Job, JobState, Result
from common.problems.failures import ENGINE_DIED
from tests.examples import OWNER, TABBY, a_job

REASON = ENGINE_DIED.failure("It was killed by SIGSEGV.")
RESULT = Result(
    predictions=(TABBY,), model="digits", model_version="sha256:0", queue_ms=1.0, inference_ms=2.0
)

MOVES = {
    JobState.PENDING: lambda job: (
        job.retry() if job.is_finished else job.give_back(REASON, max_attempts=1000)
    ),
    JobState.PROCESSING: lambda job: job.claim(OWNER),
    JobState.DONE: lambda job: job.succeed(RESULT),
    JobState.FAILED: lambda job: job.fail(REASON),
    JobState.CANCELLED: lambda job: job.cancel(),
}


@given(st.lists(st.sampled_from(list(JobState)), max_size=12))
def test_a_job_only_ever_moves_along_legal_moves(targets: list[JobState]) -> None:
    job = a_job()
    for target in targets:
        if target in LEGAL_MOVES[job.state]:
            job = MOVES[target](job)
            assert job.state is target
        else:
            with pytest.raises(IllegalMoveError):
                MOVES[target](job)


@given(st.lists(st.sampled_from(list(JobState)), max_size=12))
def test_the_fence_never_falls_and_every_claim_and_cancelling_raises_it(
    targets: list[JobState],
) -> None:
    job = a_job()
    for target in targets:
        if target not in LEGAL_MOVES[job.state]:
            continue
        moved: Job = MOVES[target](job)
        assert moved.fence >= job.fence
        if target in {JobState.PROCESSING, JobState.CANCELLED}:
            assert moved.fence == job.fence + 1
        job = moved


def test_a_claim_counts_an_attempt_and_names_the_owner() -> None:
    claimed = a_job().claim(OWNER)

    assert (claimed.attempts, claimed.owner) == (1, OWNER)


def test_a_job_given_back_has_no_owner_and_waits_to_be_published_again() -> None:
    given_back = a_job().claim(OWNER).give_back(REASON, max_attempts=3)

    assert given_back.state is JobState.PENDING
    assert (given_back.owner, given_back.started_at, given_back.published_at) == (None,) * 3


def test_a_job_given_back_after_its_last_attempt_fails_with_the_reason() -> None:
    failed = a_job(attempts=2).claim(OWNER).give_back(REASON, max_attempts=3)

    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.detail == "It was killed by SIGSEGV. (attempt 3 of 3)"


def test_a_failed_job_tells_what_happened_at_each_attempt() -> None:
    job = a_job()
    for _ in range(3):
        job = job.claim(OWNER).give_back(REASON, max_attempts=3)

    assert job.state is JobState.FAILED
    assert [(one.attempt, one.owner, one.reason) for one in job.setbacks] == [
        (1, OWNER, REASON),
        (2, OWNER, REASON),
        (3, OWNER, REASON),
    ]


def test_a_retry_is_a_new_start_under_the_same_id_and_a_higher_fence() -> None:
    failed = a_job(attempts=2).claim(OWNER).give_back(REASON, max_attempts=3)

    retried = failed.retry()

    assert retried.job_id == failed.job_id
    assert retried.fence > failed.fence
    assert (retried.state, retried.attempts, retried.setbacks) == (JobState.PENDING, 0, ())
    assert (retried.error, retried.owner, retried.finished_at) == (None, None, None)


def test_only_a_failed_job_can_be_retried_and_only_a_claimed_one_given_back() -> None:
    waiting = a_job()
    done = waiting.claim(OWNER).succeed(RESULT)
    for job in (waiting, waiting.claim(OWNER), done, waiting.cancel()):
        with pytest.raises(IllegalMoveError):
            job.retry()
    for job in (waiting, waiting.fail(REASON), waiting.claim(OWNER).cancel()):
        with pytest.raises(IllegalMoveError):
            job.give_back(REASON, max_attempts=3)


def test_a_job_can_be_cancelled_while_it_waits_and_while_it_is_worked_on() -> None:
    waiting = a_job()
    for job in (waiting, waiting.claim(OWNER)):
        cancelled = job.cancel()

        assert (cancelled.state, cancelled.owner) == (JobState.CANCELLED, None)
        assert (cancelled.attempts, cancelled.fence) == (job.attempts, job.fence + 1)


def test_a_done_or_cancelled_job_has_no_exits_and_a_failed_one_only_the_retry() -> None:
    done, failed = a_job().claim(OWNER).succeed(RESULT), a_job().fail(REASON)
    cancelled = a_job().cancel()

    assert all(job.is_finished for job in (done, failed, cancelled))
    assert LEGAL_MOVES[done.state] == LEGAL_MOVES[cancelled.state] == frozenset()
    assert LEGAL_MOVES[failed.state] == {JobState.PENDING}


def test_clocks_that_disagree_make_no_negative_queue_time() -> None:
    job = a_job()
    assert a_job(started_at=job.created_at.replace(year=2025)).queue_ms == 0
