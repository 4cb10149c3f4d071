"""What proves that a message is lost, what does not, and what happens to its job."""

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BrokerUnavailableError, StoreUnavailableError
from common.jobs import Job, JobId, JobState, Result
from common.messages import ClassifyMessage
from courier.duties.lost_messages import Evidence, LostMessages, QueueWatch, pause_s
from courier.duties.relay import relay
from tests.examples import OWNER, TABBY, a_job
from tests.fakes import InMemoryQueues, InMemoryStore

LEASE_S = 15.0
AT_MOST = 500
RESULT = Result(
    predictions=(TABBY,), model="digits", model_version="sha256:0", queue_ms=1, inference_ms=1
)


class Service:
    """A store, a queue, and couriers that check both; each round takes a second."""

    def __init__(self, *, couriers: int = 1) -> None:
        self.store = InMemoryStore()
        self.queues = InMemoryQueues()
        self.couriers = [Courier(self) for _ in range(couriers)]
        self.let_pass(rounds=int(LEASE_S) + 1)  # before they may conclude anything

    def now_ms(self) -> int:
        return int(self.store.now_s * 1000)

    def let_pass(self, *, rounds: int) -> None:
        for _ in range(rounds):
            self.store.now_s += 1
            for courier in self.couriers:
                courier.do_a_round()

    def submit(self, *, publish: bool = True) -> Job:
        job = a_job()
        self.store.add(job, b"pixels")
        if publish:
            self.queues.publish(ClassifyMessage.for_job(job))
            self.store.mark_published(job)
        return self.store.jobs[job.job_id]

    def submit_many(self, count: int) -> list[Job]:
        return [self.submit() for _ in range(count)]

    def consume(self) -> Job | None:
        """Take the first message, and the job if it can be claimed."""
        message = self.queues.ready.pop(0)
        return self.store.claim(message.id, fence=message.fence, owner=OWNER)

    def job(self, job: Job) -> Job:
        return self.store.jobs[job.job_id]

    def republished(self) -> list[int]:
        return [job.republished for job in self.store.jobs.values()]

    def is_queued(self, job: Job) -> bool:
        return ClassifyMessage.for_job(job) in self.queues.ready


class Courier:
    def __init__(self, service: Service) -> None:
        self.service = service
        evidence = Evidence()
        self.watch = QueueWatch(
            queue=service.queues, evidence=evidence, now_ms=service.now_ms, lease_s=LEASE_S
        )
        self.lost = LostMessages(
            outbox=service.store,
            evidence=evidence,
            can_publish=lambda: service.queues.is_open,
            lease_s=LEASE_S,
            at_most=AT_MOST,
            clock_s=lambda: service.store.now_s,
        )

    def do_a_round(self) -> int:
        self.watch.look()
        count = self.lost.publish_again()
        relay(self.service.store, self.service.queues, at_most=AT_MOST)
        return count


@pytest.fixture
def service() -> Service:
    return Service()


def test_what_was_in_a_queue_that_is_missing_is_published_again_at_once(service: Service) -> None:
    job = service.submit()
    service.let_pass(rounds=1)
    service.queues.ready.clear()
    service.queues.is_missing = True

    service.let_pass(rounds=1)

    assert service.is_queued(job)
    assert service.job(job).republished == 1


def test_what_was_queued_after_the_look_at_a_missing_queue_is_not_lost(service: Service) -> None:
    service.queues.is_missing = True
    job = service.submit()
    service.store.now_s -= 1  # so that the queue was not looked at after the job came

    service.let_pass(rounds=3)

    assert service.job(job).republished == 0


def test_what_was_in_a_queue_that_is_empty_for_a_lease_is_published_again(
    service: Service,
) -> None:
    job = service.submit()
    service.queues.ready.clear()

    service.let_pass(rounds=int(LEASE_S))
    assert not service.is_queued(job)
    service.let_pass(rounds=3)

    assert service.is_queued(job)
    assert service.job(job).republished == 1


def test_a_message_that_is_lost_from_a_queue_long_empty_is_found_too(service: Service) -> None:
    service.let_pass(rounds=100)
    job = service.submit()
    service.queues.ready.clear()

    service.let_pass(rounds=int(LEASE_S) + 3)

    assert service.job(job).republished == 1


def test_a_queue_that_only_now_and_then_seems_empty_proves_nothing(service: Service) -> None:
    job = service.submit()
    for _ in range(10):
        held = service.queues.ready[:]
        service.queues.ready.clear()
        service.let_pass(rounds=int(LEASE_S) - 1)
        service.queues.ready.extend(held)
        service.let_pass(rounds=1)

    assert service.job(job).republished == 0


@pytest.mark.parametrize("looks_away_s", [LEASE_S + 1, -3600])
def test_two_empty_looks_with_a_gap_between_them_prove_nothing(
    service: Service, looks_away_s: float
) -> None:
    job = service.submit()
    service.queues.ready.clear()
    service.let_pass(rounds=2)
    service.store.now_s += looks_away_s  # the courier was frozen, or its clock was set back

    service.let_pass(rounds=1)

    assert service.job(job).republished == 0


def test_a_look_that_fails_in_between_makes_the_emptiness_begin_anew(service: Service) -> None:
    job = service.submit()
    service.queues.ready.clear()
    service.let_pass(rounds=10)
    service.queues.is_open = False
    with pytest.raises(BrokerUnavailableError):
        service.couriers[0].watch.look()
    service.queues.is_open = True

    service.let_pass(rounds=10)

    assert service.job(job).republished == 0


def test_a_job_that_was_published_clearly_before_one_that_is_claimed_is_lost(
    service: Service,
) -> None:
    overtaken = service.submit()
    del service.queues.ready[0]
    service.let_pass(rounds=int(LEASE_S) + 1)
    service.submit()
    behind = service.submit()

    service.consume()
    service.let_pass(rounds=1)

    assert service.job(overtaken).republished == 1
    assert service.is_queued(overtaken)
    assert service.job(behind).republished == 0


def test_a_job_that_was_published_about_when_the_claimed_one_was_is_not_lost(
    service: Service,
) -> None:
    taken = service.submit()
    service.let_pass(rounds=int(LEASE_S) - 1)
    service.submit()
    service.queues.ready.reverse()

    service.consume()
    service.let_pass(rounds=3)

    assert service.job(taken).republished == 0


def test_a_claim_tells_nothing_that_its_own_waiting_does_not(service: Service) -> None:
    """A returned job waits since its return, however old it is and whatever waits before it."""
    first = service.submit()
    claimed = service.consume()
    assert claimed is not None
    assert claimed.job_id == first.job_id
    service.let_pass(rounds=40)
    second = service.submit()

    service.let_pass(rounds=3)

    assert service.job(second).republished == 0


def test_20_000_waiting_jobs_without_a_consumer_are_left_alone() -> None:
    service = Service()
    job = service.submit()
    for number in range(19_999):
        job_id = JobId(str(number))
        service.store.jobs[job_id] = job
        service.store.waiting_s[job_id] = service.store.now_s

    service.let_pass(rounds=200)

    assert max(service.republished()) == 0
    assert len(service.store.waiting_s) == 20_000
    assert len(service.queues.ready) == 1


def test_a_long_queue_that_is_worked_through_loses_nothing(service: Service) -> None:
    for _ in range(120):
        service.submit_many(3)
        service.let_pass(rounds=1)
        claimed = service.consume()
        service.let_pass(rounds=1)
        assert claimed is not None
        finish(service, claimed)

    assert max(service.republished()) == 0


def test_50_messages_out_of_the_middle_of_1000_are_found_and_all_jobs_end(
    service: Service,
) -> None:
    jobs = service.submit_many(1000)
    del service.queues.ready[475:525]

    for _ in range(200):
        work(service, messages=25)
        service.let_pass(rounds=1)

    assert {service.job(job).state for job in jobs} == {JobState.DONE}
    assert sum(service.republished()) == 50


def test_after_a_purge_all_jobs_end_and_each_was_published_again_once(service: Service) -> None:
    jobs = service.submit_many(1200)
    service.queues.ready.clear()

    for _ in range(100):
        work(service, messages=25)
        service.let_pass(rounds=1)

    assert {service.job(job).state for job in jobs} == {JobState.DONE}
    assert set(service.republished()) == {1}


def test_a_round_publishes_a_bounded_number_and_the_next_needs_no_new_proof(
    service: Service,
) -> None:
    service.submit_many(1100)
    service.queues.ready.clear()
    service.queues.is_missing = True
    service.store.now_s += 1
    [courier] = service.couriers

    counts = [courier.do_a_round() for _ in range(4)]

    assert counts == [500, 500, 100, 0]


def test_several_couriers_share_what_is_lost() -> None:
    service = Service(couriers=3)
    service.submit_many(700)
    service.queues.ready.clear()

    service.let_pass(rounds=30)

    assert set(service.republished()) == {1}
    assert len(service.queues.ready) == 700


def test_a_job_that_is_lost_again_and_again_is_published_ever_more_seldom() -> None:
    service = Service()
    job = service.submit()
    times_s: list[float] = []
    for _ in range(3000):
        service.let_pass(rounds=1)
        if service.queues.ready:
            times_s.append(service.store.now_s)
        service.queues.ready.clear()

    pauses_s = [later - earlier for earlier, later in pairwise(times_s)]
    assert service.job(job).republished >= 7
    # After each publishing, the queue must be empty for a lease before that proves anything.
    expected_s = [LEASE_S + each for each in (15, 30, 60, 120, 240, 480, 600)]
    assert pauses_s[1:8] == [pytest.approx(each, abs=4) for each in expected_s[: len(pauses_s) - 1]]


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=1, max_value=3600))
def test_the_pause_begins_with_a_lease_and_never_shrinks_or_gets_long(
    republished: int, lease_s: float
) -> None:
    pause = pause_s(republished, lease_s=lease_s)

    assert pause_s(0, lease_s=lease_s) == 0
    assert pause_s(1, lease_s=lease_s) == lease_s
    assert pause <= pause_s(republished + 1, lease_s=lease_s) <= max(600, lease_s)


def test_a_job_that_nobody_could_publish_yet_is_not_called_lost(service: Service) -> None:
    job = service.submit(publish=False)
    service.queues.is_missing = True

    service.let_pass(rounds=30)

    assert service.job(job).republished == 0
    assert service.is_queued(job)  # by the relay


def test_while_rabbitmq_takes_no_messages_nothing_is_called_lost(service: Service) -> None:
    job = service.submit()
    service.queues.ready.clear()
    service.let_pass(rounds=int(LEASE_S))
    [courier] = service.couriers
    service.store.now_s += 1
    courier.watch.look()
    service.store.now_s += 1
    courier.watch.look()

    service.queues.is_open = False
    assert courier.lost.publish_again() == 0
    assert service.job(job).republished == 0

    service.queues.is_open = True
    assert courier.lost.publish_again() == 1


def test_after_an_outage_of_the_store_consumers_get_a_lease_to_claim_what_they_hold(
    service: Service,
) -> None:
    job = service.submit()
    held = service.queues.ready.pop()
    service.let_pass(rounds=int(LEASE_S))
    service.store.is_down = True
    with pytest.raises(StoreUnavailableError):
        service.couriers[0].lost.publish_again()
    service.store.now_s += 60
    service.store.is_down = False

    service.let_pass(rounds=int(LEASE_S) - 1)
    assert service.job(job).republished == 0

    assert service.store.claim(held.id, fence=held.fence, owner=OWNER) is not None
    service.let_pass(rounds=30)
    assert service.job(job).republished == 0


def test_evidence_is_dropped_only_if_there_is_no_newer() -> None:
    evidence = Evidence()
    evidence.note(5)
    evidence.note(3)
    assert evidence.before_ms == 5

    evidence.note(7)
    evidence.forget(5)
    assert evidence.before_ms == 7

    evidence.forget(7)
    assert evidence.before_ms is None


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_taken_out_of_the_queue_all_jobs_end(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (no secret)
    service = Service()
    jobs: list[Job] = []
    for _ in range(150):
        if chance.random() < 0.3:
            jobs += service.submit_many(chance.randrange(1, 6))
        if chance.random() < 0.1 and service.queues.ready:
            del service.queues.ready[chance.randrange(len(service.queues.ready))]
        service.queues.is_missing = chance.random() < 0.01
        if service.queues.is_missing:
            service.queues.ready.clear()
        work(service, messages=chance.randrange(3))
        service.let_pass(rounds=1)

    for _ in range(2000):
        work(service, messages=2)
        service.let_pass(rounds=1)

    assert {service.job(job).state for job in jobs} == {JobState.DONE}


def work(service: Service, *, messages: int) -> None:
    """Let a consumer take some messages; it still works on the last when the courier looks."""
    for held in list(service.store.processing()):
        finish(service, held)
    claimed: list[Job] = list(claims(service, messages))
    for job in claimed[:-1]:
        finish(service, job)


def claims(service: Service, messages: int) -> Iterator[Job]:
    for _ in range(min(messages, len(service.queues.ready))):
        job = service.consume()
        if job is not None:
            yield job


def finish(service: Service, job: Job) -> None:
    service.store.save(job.succeed(RESULT), previous=job)
