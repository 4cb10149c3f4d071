"""What becomes of a delivery."""

import threading
from dataclasses import replace

import pytest

from common.errors import StoreUnavailableError
from common.jobs import Job, JobId, JobState, OwnerId
from common.messages import ClassifyMessage
from common.problems import failure
from common.retries import until_stopped
from consumer.errors import EngineDiedError, EngineTimeoutError
from consumer.handler import Disposition, Handler
from consumer.protocol import Refusal
from tests.examples import OWNER, TABBY, a_job, a_worker
from tests.fakes import CannedClassifier, InMemoryRegistry, InMemoryStore

OTHER = OwnerId("there-2-deadbeef")


def body_of(job: Job) -> bytes:
    return ClassifyMessage.for_job(job).encode()


class Consumer:
    """A handler with fakes around it, at hand for the tests."""

    def __init__(self, *jobs: Job) -> None:
        self.store = InMemoryStore(*jobs)
        self.registry = InMemoryRegistry(a_worker(OWNER))
        self.classifier = CannedClassifier()
        self.stopping = threading.Event()
        self.handler = Handler(
            store=self.store,
            registry=self.registry,
            classifier=self.classifier,
            owner=OWNER,
            max_attempts=3,
            patiently=until_stopped(self.stopping, StoreUnavailableError),
        )

    def handle(self, body: bytes) -> Disposition:
        return self.handler.handle(body)

    def job(self, job_id: JobId) -> Job:
        return self.store.jobs[job_id]


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
    assert len(consumer.classifier.questions) == 1


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


def test_a_job_whose_owner_lives_is_left_to_it() -> None:
    held = a_job().claim(OTHER)
    consumer = Consumer(held)
    consumer.registry.beat(a_worker(OTHER))

    disposition = consumer.handle(body_of(a_job(held.job_id)))

    assert disposition is Disposition.ACK
    assert consumer.job(held.job_id) == held


def test_a_job_whose_owner_is_dead_is_taken_over_at_the_cost_of_an_attempt() -> None:
    held = a_job().claim(OTHER)
    consumer = Consumer(held)

    consumer.handle(body_of(a_job(held.job_id)))

    saved = consumer.job(held.job_id)
    assert saved.state is JobState.DONE
    assert saved.attempts == 2


def test_a_job_that_killed_its_last_owner_fails_instead_of_being_taken_over() -> None:
    held = a_job(attempts=2).claim(OTHER)
    consumer = Consumer(held)

    consumer.handle(body_of(a_job(held.job_id)))

    assert consumer.job(held.job_id).state is JobState.FAILED
    assert consumer.classifier.questions == []


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
    reason = failure("image-undecodable", "The image cannot be decoded", "truncated")
    consumer.classifier.reply = Refusal(reason)

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


@pytest.mark.parametrize("error", [EngineDiedError("was killed"), EngineTimeoutError("took long")])
def test_a_job_that_an_engine_did_not_survive_is_given_back(error: Exception) -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.classifier.reply = error

    disposition = consumer.handle(body_of(job))

    given_back = consumer.job(job.job_id)
    assert disposition is Disposition.ACK  # the courier publishes it with its new fence
    assert (given_back.state, given_back.fence) == (JobState.PENDING, 2)
    assert consumer.store.take_unpublished(lease_s=5) == given_back


def test_a_job_that_no_engine_survives_fails_after_its_last_attempt() -> None:
    job = a_job(attempts=2)
    consumer = Consumer(job)
    consumer.classifier.reply = EngineDiedError("was killed by SIGSEGV")

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
    assert len(consumer.classifier.questions) == 1


def test_a_delivery_in_hand_is_given_back_when_the_process_stops_without_a_store() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.store.is_down = True
    consumer.stopping.set()

    assert consumer.handle(body_of(job)) is Disposition.REQUEUE


def test_a_result_that_somebody_forestalled_is_dropped() -> None:
    job = a_job()
    consumer = Consumer(job)
    consumer.classifier.before_reply = lambda: consumer.store.jobs.update(
        {job.job_id: consumer.job(job.job_id).fail(failure("cancelled", "Cancelled", "by them"))}
    )

    disposition = consumer.handle(body_of(job))

    assert disposition is Disposition.ACK
    assert consumer.job(job.job_id).state is JobState.FAILED
