"""A job is recorded first and published second; what happens when either fails."""

import structlog

from api.jobs.payload.reading import Payload
from api.jobs.room import Room
from api.jobs.schemas import JobOptions
from api.jobs.submission import Submission
from api.models.catalog import ModelCatalog
from common.errors import BrokerUnavailableError, StoreUnavailableError
from common.intake import ImageLimits
from common.jobs import Job, JobState
from common.messages import ClassifyMessage
from common.ports.jobs import JobStore
from common.ports.publisher import Publisher
from tests.examples import a_worker, an_image
from tests.fakes import FixedUsage, InMemoryRegistry, InMemoryStore, RecordingPublisher

IMAGE = an_image()
PAYLOAD = Payload(IMAGE, "body", JobOptions(top_k=3, metadata={"album": "x"}))


def a_submission(store: JobStore, publisher: Publisher) -> Submission:
    return Submission(
        store=store,
        publisher=publisher,
        catalog=ModelCatalog(InMemoryRegistry(a_worker()), configured=["digits"], default="digits"),
        limits=ImageLimits(bytes=100_000, pixels=10_000),
        room=Room(FixedUsage()),
        note_published=store.mark_published,
    )


class ForgetfulStore(InMemoryStore):
    """Fails between the record and the mark that it was published."""

    def mark_published(self, *jobs: Job) -> None:
        raise StoreUnavailableError("the store went down")


class LookingPublisher(RecordingPublisher):
    """Checks that the job and its image are stored when the message is sent."""

    def __init__(self, store: InMemoryStore) -> None:
        super().__init__()
        self.store = store
        self.found: list[bool] = []

    def publish(self, message: ClassifyMessage) -> None:
        self.found.append(message.id in self.store.jobs and message.id in self.store.images)


class StallingPublisher:
    def publish(self, message: ClassifyMessage) -> None:
        raise BrokerUnavailableError("no confirm in time")


def test_a_submission_is_recorded_with_its_image_and_options() -> None:
    store = InMemoryStore()

    job = a_submission(store, RecordingPublisher()).submit(PAYLOAD).job

    assert store.jobs[job.job_id].state is JobState.PENDING
    assert store.jobs[job.job_id].model == "digits"
    assert store.jobs[job.job_id].top_k == 3
    assert store.jobs[job.job_id].metadata == {"album": "x"}
    assert store.images[job.job_id] == IMAGE


def test_the_message_names_job_model_and_fence() -> None:
    publisher = RecordingPublisher()

    job = a_submission(InMemoryStore(), publisher).submit(PAYLOAD).job

    assert publisher.published == [ClassifyMessage(id=job.job_id, model="digits", fence=0)]


def test_job_and_image_are_recorded_before_the_message_is_sent() -> None:
    store = InMemoryStore()
    publisher = LookingPublisher(store)

    a_submission(store, publisher).submit(PAYLOAD)

    assert publisher.found == [True]


def test_a_published_job_is_stamped_so_that_the_courier_leaves_it_alone() -> None:
    store = InMemoryStore()

    job = a_submission(store, RecordingPublisher()).submit(PAYLOAD).job

    assert store.jobs[job.job_id].published_at is not None
    assert store.publish_due_s == {}


def test_a_job_that_cannot_be_published_is_accepted_and_left_to_the_courier() -> None:
    store = InMemoryStore()

    job = a_submission(store, StallingPublisher()).submit(PAYLOAD).job

    assert store.jobs[job.job_id].published_at is None
    assert job.job_id in store.publish_due_s


def test_a_job_that_cannot_be_stamped_is_accepted_all_the_same() -> None:
    store = ForgetfulStore()
    publisher = RecordingPublisher()

    job = a_submission(store, publisher).submit(PAYLOAD).job

    assert job.job_id in store.jobs
    assert [message.id for message in publisher.published] == [job.job_id]


def test_two_submissions_of_one_image_are_two_jobs() -> None:
    store = InMemoryStore()
    submission = a_submission(store, RecordingPublisher())

    first, second = submission.submit(PAYLOAD).job, submission.submit(PAYLOAD).job

    assert first.job_id != second.job_id
    assert len(store.jobs) == 2


def test_what_is_logged_of_an_accepted_job_names_it() -> None:
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as events:
        job = a_submission(InMemoryStore(), RecordingPublisher()).submit(PAYLOAD).job

    assert [(event["event"], event["job_id"]) for event in events] == [("accepted", job.job_id)]
