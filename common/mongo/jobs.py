"""Jobs and their images as documents, keyed by job id; every move is a compare-and-set."""

from collections.abc import Sequence

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from common.errors import (
    RepeatedSubmissionError,
    StaleJobError,
    StoreRefusedError,
    UnreadableRecordError,
)
from common.jobs import Job, JobId, JobState, OwnerId
from common.mongo.connection import Document, translated_errors
from common.mongo.documents import to_document
from common.mongo.moves import moved_to, unmoved
from common.mongo.outbox import LEFT_ALONE_MS, MongoOutbox


class MongoJobStore(MongoOutbox):
    """The jobs and the images of one database."""

    def ensure_indexes(self) -> None:
        """Make the indexes that the queries below need.

        No TTL index: it could expire an image before its job or long after it, and nx-27017 scans
        a collection that has one at every read.
        """
        with translated_errors():
            self._jobs.create_index("state")
            self._jobs.create_index("publish_due_ms", sparse=True)
            self._jobs.create_index("waiting_ms", sparse=True)
            self._jobs.create_index("finished_ms", sparse=True)
            # Of two submissions with one key that arrive at the same moment, one wins here.
            self._jobs.create_index("idempotency.key", unique=True, sparse=True)

    def add(self, job: Job, image: bytes) -> None:
        """Record a new pending job and its image.

        The image is written first, so that no consumer meets a job without one. Until
        ``mark_published`` the record is in the outbox: the courier publishes it.

        Raises:
            RepeatedSubmissionError: There is a job with its idempotency key; nothing is kept.
            StoreRefusedError: The job or its image cannot be recorded; nothing is kept.
            StoreUnavailableError: Whether the job was recorded is unknown.
        """
        now_ms = self._now_ms()
        with translated_errors():
            self._images.insert_one({"_id": job.job_id, "bytes": image, "stored_ms": now_ms})
        try:
            self._insert(job, now_ms)
        except (RepeatedSubmissionError, StoreRefusedError):
            self.delete_image(job.job_id)
            raise

    def _insert(self, job: Job, now_ms: int) -> None:
        due = {"publish_due_ms": now_ms + self._publish_after_ms, "pending_since_ms": now_ms}
        with translated_errors():
            try:
                self._jobs.insert_one(to_document(job) | due)
            except DuplicateKeyError:
                raise RepeatedSubmissionError(job.job_id) from None

    def find_by_key(self, idempotency_key: str) -> Job | None:
        """Return the job that was submitted with this key, or None.

        Raises:
            UnreadableRecordError: There is one, but this version cannot read it.
        """
        with translated_errors():
            document = self._jobs.find_one({"idempotency.key": idempotency_key})
        return None if document is None else self._reader.one(document)

    def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if it is unknown or expired.

        Raises:
            UnreadableRecordError: It is there, but this version cannot read it.
        """
        with translated_errors():
            document = self._jobs.find_one({"_id": job_id})
        return None if document is None else self._reader.one(document)

    def image(self, job_id: JobId) -> bytes | None:
        """Return the bytes of the job's image, or None if it is gone.

        Raises:
            UnreadableRecordError: It is there, but not as this version stores images.
        """
        with translated_errors():
            document = self._images.find_one({"_id": job_id})
        if document is None:
            return None
        if not isinstance(image := document.get("bytes"), bytes):
            raise UnreadableRecordError(f"the image of job {job_id} has no bytes")
        return image

    def claim(self, job_id: JobId, *, fence: int, owner: OwnerId) -> Job | None:
        """Claim a pending job that is still at *fence*; None if there is none.

        One round trip, where ``Job.claim`` and ``save`` need two.

        Raises:
            UnreadableRecordError: The job is claimed, but this version cannot read it: put it back.
        """
        with translated_errors():
            document = self._jobs.find_one_and_update(
                {
                    "_id": job_id,
                    "state": JobState.PENDING.value,
                    "fence": fence,
                    "attempts": {"$type": "number"},  # or it could not be incremented
                },
                {
                    "$set": {"state": JobState.PROCESSING.value, "owner": owner},
                    "$inc": {"fence": 1, "attempts": 1},
                    "$currentDate": {"started_at": True},
                    # It was published, whether or not we recorded it: there is a delivery.
                    "$unset": {"publish_due_ms": "", "waiting_ms": ""},
                },
                return_document=ReturnDocument.AFTER,
            )
        return None if document is None else self._reader.one(document)

    def put_back(self, job_id: JobId, *, fence: int, owner: OwnerId) -> None:
        """Undo the claim of *owner* that led to *fence*, if it still holds. It costs no attempt.

        For a record that this version cannot read. A courier that can read it publishes it again.
        """
        now_ms = self._now_ms()
        due = {"publish_due_ms": now_ms + LEFT_ALONE_MS, "pending_since_ms": now_ms}
        with translated_errors():
            self._jobs.update_one(
                {
                    "_id": job_id,
                    "state": JobState.PROCESSING.value,
                    "fence": fence,
                    "owner": owner,
                },
                {
                    "$set": {"state": JobState.PENDING.value} | due,
                    "$inc": {"fence": 1, "attempts": -1},
                    "$unset": {"owner": "", "started_at": "", "published_at": ""},
                },
            )

    def save(self, job: Job, *, previous: Job) -> None:
        """Replace *previous* by *job*, unless somebody moved it first.

        Raises:
            StaleJobError: The stored job is no longer *previous*.
            StoreRefusedError: The job cannot be stored; it is still *previous*.
            StoreUnavailableError: Whether the job was saved is unknown.
        """
        with translated_errors():
            update = moved_to(
                job,
                previous=previous,
                setbacks=self._setbacks_before(job, previous),
                now_ms=self._now_ms(),
            )
            matched = self._jobs.update_one(unmoved(previous), update).matched_count
        if matched == 0:
            raise StaleJobError(f"job {job.job_id} is no longer {previous.state} at its fence")

    def _setbacks_before(self, job: Job, previous: Job) -> Sequence[Document]:
        """Return the stored setbacks that *job* adds to, including unknown members."""
        if not previous.setbacks or len(job.setbacks) <= len(previous.setbacks):
            return ()
        document = self._jobs.find_one(unmoved(previous), {"setbacks": True})
        return () if document is None else document["setbacks"]

    def delete(self, job: Job) -> None:
        """Delete the job with its image, unless somebody moved it first.

        Raises:
            StaleJobError: The stored job is no longer *job*; its image may be gone already.
            StoreUnavailableError: Whether the job was deleted is unknown.
        """
        # The image first: a kill in between leaves a job, which can be deleted again, or expires.
        self.delete_image(job.job_id)
        with translated_errors():
            deleted = self._jobs.delete_one(unmoved(job)).deleted_count
        if deleted == 0:
            raise StaleJobError(f"job {job.job_id} is no longer {job.state} at its fence")

    def delete_image(self, job_id: JobId) -> None:
        """Delete the image of a job that will need it no more."""
        with translated_errors():
            self._images.delete_one({"_id": job_id})

    def mark_published(self, *jobs: Job) -> None:
        """Record that the messages of *jobs* reached the queue; jobs that moved on are skipped.

        A consumer may have claimed a job before its publisher gets here. And a publisher that is
        minutes late must not record a message that was lost and published again meanwhile.
        """
        with translated_errors():
            published = {
                "$set": {"waiting_ms": self._now_ms()},
                "$unset": {"publish_due_ms": ""},
                "$currentDate": {"published_at": True},
            }
            self._jobs.bulk_write(
                [UpdateOne(_as_published(job), published) for job in jobs], ordered=False
            )


def _as_published(job: Job) -> Document:
    # None fits a document without the field.
    return unmoved(job) | {
        "state": JobState.PENDING.value,
        "republished": job.republished or None,
    }
