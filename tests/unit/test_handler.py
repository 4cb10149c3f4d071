"""What becomes of a delivery."""

import threading
from dataclasses import replace

import pytest

from common.errors import StoreForbiddenError, StoreRefusedError, StoreUnavailableError
from common.jobs import Job, JobId, JobState, OwnerId
from common.messages import ClassifyMessage
from common.ports.deliveries import Disposition
from common.problems.answers import STORE_REFUSED
from common.problems.failures import IMAGE_GONE, IMAGE_UNDECODABLE, MODEL_FAILED
from common.retries import until_stopped
from consumer.errors import (
    EngineDiedError,
    EngineLostError,
    EngineMemoryError,
    EngineNotReadyError,
    EngineTimeoutError,
)
from consumer.handler import Handler
from engine.protocol import Refusal
from tests.examples import OWNER, TABBY, a_job
from tests.fakes import CannedEngines, InMemoryStore

OTHER = OwnerId("there-2-deadbeef")


def body_of(job: Job) -> bytes:
    return ClassifyMessage.for_job(job).encode()


class Consumer:
    """A handler and the fakes that it uses."""

    def __init__(self, *jobs: Job, store: InMemoryStore | None = None) -> None:
        self.store = store or InMemoryStore(*jobs)
        self.engines = CannedEngines()
        self.stopping = threading.Event()
        self.handler = Handler(
            store=self.store,
            engines=self.engines,
            owner=OWNER,
            max_attempts=3,
            patiently=until_stopped(self.stopping, StoreUnavailableError, StoreRefusedError),
        )

    def handle(self, body: bytes) -> Disposition:
        [(_, disposition)] = self.handler.handle([body])
        return disposition

    def handle_batch(self, *bodies: bytes) -> list[Disposition]:
        settled = dict(self.handler.handle(bodies))
        return [settled[place] for place in range(len(bodies))]

    def job(self, job_id: JobId) -> Job:
        return self.store.jobs[job_id]


class PickyStore(InMemoryStore):
    """Refuses every job with a result, like a store that cannot encode it."""

    def save(self, job: Job, *, previous: Job) -> None:
        if job.result is not None:
            raise StoreRefusedError("MongoDB: DocumentTooLarge")
        super().save(job, previous=previous)


class RefusingStore(InMemoryStore):
    """Refuses some calls in a row, like a store whose access rights are being changed."""

    refusals = 3

    def claim(self, job_id: JobId, *, fence: int, owner: OwnerId) -> Job | None:
        if self.refusals:
            self.refusals -= 1
            raise StoreForbiddenError("MongoDB: not authorized")
        return super().claim(job_id, fence=fence, owner=owner)


def test_a_result_that_the_store_refuses_fails_the_job_at_once_with_the_reason() -> None:
    job, next_job = a_job(), a_job()
    consumer = Consumer(store=PickyStore(job, next_job))

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    saved = consumer.job(job.job_id)
    assert (saved.state, saved.attempts) == (JobState.FAILED, 1)
    assert saved.error is not None
    assert saved.error.type == STORE_REFUSED.type
    assert "DocumentTooLarge" in saved.error.detail


def test_a_store_that_allows_nothing_for_a_while_costs_no_job_and_no_attempt() -> None:
    job = a_job()
    consumer = Consumer(store=RefusingStore(job))

    assert consumer.handle(body_of(job)) is Disposition.ACK

    saved = consumer.job(job.job_id)
    assert (saved.state, saved.attempts) == (JobState.DONE, 1)


def test_a_pending_job_is_classified_and_saved_with_its_result() -> None:
    job = a_job()
    consumer = Consumer(job)

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    saved = consumer.job(job.job_id)
    assert saved.state is JobState.DONE
    assert saved.result is not None
    assert saved.result.predictions == (TABBY,)


def test_a_redelivery_of_a_finished_job_is_acked_without_classifying_again() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.handle(body_of(job))

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    assert len(consumer.engines.questions) == 1


def test_a_delivery_of_an_unknown_job_is_acked() -> None:
    consumer = Consumer()

    assert consumer.handle(body_of(a_job())) is Disposition.ACK


def test_a_body_that_is_no_message_is_dead_lettered() -> None:
    assert Consumer().handle(b"rubbish") is Disposition.DEAD_LETTER


def test_a_message_with_an_old_fence_claims_nothing() -> None:
    job = a_job(fence=2)
    consumer = Consumer(job)

    disposition = consumer.handle(body_of(replace(job, fence=0)))

    assert disposition is Disposition.ACK
    assert consumer.job(job.job_id) == job


def test_a_job_that_another_consumer_holds_is_left_to_it_and_to_the_courier() -> None:
    held = a_job().claim(OTHER)
    consumer = Consumer(held)

    disposition = consumer.handle(body_of(a_job(held.job_id)))

    assert disposition is Disposition.ACK
    assert consumer.job(held.job_id) == held


def test_our_own_claim_whose_answer_was_lost_costs_no_second_attempt() -> None:
    job = a_job()
    claimed = job.claim(OWNER)
    consumer = Consumer(claimed)

    consumer.handle(body_of(job))

    saved = consumer.job(job.job_id)
    assert (saved.state, saved.attempts) == (JobState.DONE, 1)


def test_an_image_that_cannot_be_decoded_fails_the_job_at_once() -> None:
    job = a_job()
    consumer = Consumer(job)
    reason = IMAGE_UNDECODABLE.failure("truncated")
    consumer.engines.outcome = Refusal(reason)

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    assert consumer.job(job.job_id).error == reason


def test_a_job_whose_image_is_gone_fails_with_that_reason() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.store.images.clear()

    consumer.handle(body_of(job))

    error = consumer.job(job.job_id).error
    assert error is not None
    assert error.type.endswith("image-gone")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (EngineDiedError("was killed"), "engine-died"),
        (EngineTimeoutError("took long"), "engine-timeout"),
        (EngineMemoryError("took much"), "engine-memory"),
    ],
)
def test_a_job_that_an_engine_did_not_survive_is_given_back_with_the_reason(
    error: EngineLostError, name: str
) -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.engines.outcome = error

    disposition = consumer.handle(body_of(job))

    given_back = consumer.job(job.job_id)
    assert disposition is Disposition.ACK  # the courier publishes it with its new fence
    assert (given_back.state, given_back.fence) == (JobState.PENDING, 2)
    [setback] = given_back.setbacks
    assert setback.reason.type == f"urn:darkroom:problem:{name}"
    assert consumer.store.take_unpublished(lease_s=5) == given_back


def test_a_job_that_no_engine_survives_fails_after_its_last_attempt() -> None:
    job = a_job(attempts=2)
    consumer = Consumer(job)
    consumer.engines.outcome = EngineDiedError("was killed by SIGSEGV")

    consumer.handle(body_of(job))

    error = consumer.job(job.job_id).error
    assert error is not None
    assert error.detail == "It was killed by SIGSEGV. (attempt 3 of 3)"


def test_a_result_is_held_while_the_store_is_away_and_computed_once() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.store.fail_next_saves(2)

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    assert consumer.job(job.job_id).state is JobState.DONE
    assert len(consumer.engines.questions) == 1


def test_a_delivery_in_hand_is_given_back_when_the_process_stops_without_a_store() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.store.is_down = True
    consumer.stopping.set()

    assert consumer.handle(body_of(job)) is Disposition.REQUEUE


def test_a_result_that_somebody_forestalled_is_dropped() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.engines.before_outcome = lambda: consumer.store.jobs.update(
        {job.job_id: consumer.job(job.job_id).fail(MODEL_FAILED.failure("by them"))}
    )

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    assert consumer.job(job.job_id).state is JobState.FAILED


def test_the_message_of_a_cancelled_job_is_acked_and_costs_no_attempt() -> None:
    job = a_job()
    consumer = Consumer(job.cancel())

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    assert consumer.job(job.job_id) == job.cancel()
    assert consumer.engines.questions == []


def test_the_result_of_a_job_that_was_cancelled_meanwhile_is_dropped() -> None:
    job = a_job()
    consumer = Consumer(job)

    def cancel() -> None:
        claimed = consumer.job(job.job_id)
        consumer.store.save(claimed.cancel(), previous=claimed)
        consumer.store.delete_image(job.job_id)

    consumer.engines.before_outcome = cancel

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    cancelled = consumer.job(job.job_id)
    assert (cancelled.state, cancelled.result) == (JobState.CANCELLED, None)


def test_a_job_that_is_cancelled_before_its_image_was_read_does_not_fail() -> None:
    job = a_job()
    consumer = Consumer(job)

    def image_of_a_cancelled_job(job_id: JobId) -> bytes | None:
        claimed = consumer.job(job_id)
        consumer.store.save(claimed.cancel(), previous=claimed)
        return None

    consumer.store.image = image_of_a_cancelled_job  # type: ignore[method-assign]

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    cancelled = consumer.job(job.job_id)
    assert (cancelled.state, cancelled.error) == (JobState.CANCELLED, None)


def test_a_job_that_cannot_be_read_is_put_back_at_no_attempt_and_hinders_no_other() -> None:
    unreadable, other = a_job(JobId("unreadable")), a_job(JobId("other"))
    consumer = Consumer(unreadable, other)
    consumer.store.unreadable.add(unreadable.job_id)

    dispositions = consumer.handle_batch(body_of(unreadable), body_of(other))

    assert dispositions == [Disposition.ACK] * 2
    assert consumer.job(other.job_id).state is JobState.DONE
    put_back = consumer.job(unreadable.job_id)
    assert (put_back.state, put_back.owner, put_back.attempts) == (JobState.PENDING, None, 0)
    assert put_back.fence == 2


def test_a_second_delivery_of_a_job_that_was_put_back_does_nothing() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.store.unreadable.add(job.job_id)
    consumer.handle(body_of(job))
    put_back = consumer.job(job.job_id)

    assert consumer.handle(body_of(job)) is Disposition.ACK

    assert consumer.job(job.job_id) == put_back


def test_an_unreadable_job_of_another_consumer_is_left_to_it() -> None:
    held = a_job().claim(OTHER)
    consumer = Consumer(held)
    consumer.store.unreadable.add(held.job_id)

    assert consumer.handle(body_of(a_job(held.job_id))) is Disposition.ACK

    assert consumer.job(held.job_id) == held


def test_a_job_whose_image_cannot_be_read_gets_another_attempt_but_not_for_ever() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.store.unreadable_images.add(job.job_id)

    for fence in (0, 2, 4):
        assert consumer.handle(body_of(replace(job, fence=fence))) is Disposition.ACK

    failed = consumer.job(job.job_id)
    assert (failed.state, len(failed.setbacks)) == (JobState.FAILED, 3)
    assert failed.error is not None
    assert failed.error.type == IMAGE_GONE.type
    assert consumer.engines.questions == []


def test_a_batch_is_asked_at_once_and_each_job_is_saved_by_itself() -> None:
    jobs = [a_job(JobId(f"job-{number}")) for number in range(3)]
    consumer = Consumer(*jobs)
    states: list[list[JobState]] = []
    consumer.engines.before_outcome = lambda: states.append(
        [consumer.job(job.job_id).state for job in jobs]
    )

    dispositions = consumer.handle_batch(*map(body_of, jobs))

    assert dispositions == [Disposition.ACK] * 3
    assert [len(batch) for batch in consumer.engines.batches] == [3]
    done, held = JobState.DONE, JobState.PROCESSING
    assert states == [[held, held, held], [done, held, held], [done, done, held]]
    assert all(consumer.job(job.job_id).state is done for job in jobs)


def test_what_is_not_to_be_asked_hinders_no_other_of_its_batch() -> None:
    good, cancelled = a_job(JobId("good")), a_job(JobId("cancelled")).cancel()
    consumer = Consumer(good, cancelled)

    dispositions = consumer.handle_batch(b"rubbish", body_of(cancelled), body_of(good))

    assert dispositions == [Disposition.DEAD_LETTER, Disposition.ACK, Disposition.ACK]
    assert [question.job_id for question in consumer.engines.questions] == [good.job_id]
    assert consumer.job(good.job_id).state is JobState.DONE


def test_a_message_that_is_twice_in_a_batch_is_asked_once() -> None:
    job = a_job()
    consumer = Consumer(job)

    assert consumer.handle_batch(body_of(job), body_of(job)) == [Disposition.ACK] * 2

    assert len(consumer.engines.questions) == 1
    assert consumer.job(job.job_id).state is JobState.DONE


def test_a_message_that_another_lane_works_on_is_dropped() -> None:
    job = a_job()
    consumer = Consumer(job)
    meanwhile: list[Disposition] = []
    consumer.engines.before_outcome = lambda: meanwhile.append(consumer.handle(body_of(job)))

    assert consumer.handle(body_of(job)) is Disposition.ACK

    assert meanwhile == [Disposition.ACK]
    assert len(consumer.engines.questions) == 1


def test_a_job_that_no_engine_will_answer_is_given_back_to_the_broker() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.engines.outcome = EngineNotReadyError("the process is stopping")

    assert consumer.handle(body_of(job)) is Disposition.REQUEUE
