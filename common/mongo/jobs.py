"""Jobs and their images as documents, keyed by job id; every move is a compare-and-set."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from common.errors import RepeatedSubmissionError, StaleJobError
from common.jobs import Job, JobId, JobState, OwnerId
from common.mongo.connection import Document, translated_errors
from common.mongo.documents import from_document, to_document
from common.mongo.moves import moved_to, unmoved

# Deleting more at once would keep the store busy for too long.
_EXPIRE_AT_ONCE: Final = 200


class MongoJobStore:
    """The jobs and the images of one database.

    Args:
        database: Where they lie.
        now_ms: The clock that all processes share, in milliseconds since 1970.
        publish_after_s: How long a job may stay unpublished before its publishing is due.
    """

    def __init__(
        self,
        database: Database[Document],
        *,
        now_ms: Callable[[], int],
        publish_after_s: float,
    ) -> None:
        self._jobs = database["jobs"]
        self._images = database["images"]
        self._now_ms = now_ms
        self._publish_after_ms = int(publish_after_s * 1000)

    def ensure_indexes(self) -> None:
        """Make the indexes that the queries below need.

        No TTL index: it could expire an image before its job or long after it, and nx-27017
        runs through a collection that has one at every read.
        """
        with translated_errors():
            self._jobs.create_index("state")
            self._jobs.create_index("publish_due_ms", sparse=True)
            self._jobs.create_index("waiting_ms", sparse=True)
            self._jobs.create_index("finished_ms", sparse=True)
            # Of two submissions with one key that arrive in the same moment, one wins here.
            self._jobs.create_index("idempotency.key", unique=True, sparse=True)

    def add(self, job: Job, image: bytes) -> None:
        """Record a new pending job and its image.

        The image comes first, so that no consumer meets a job without one. Until
        ``mark_published`` the record is its own outbox: the courier publishes it.

        Raises:
            RepeatedSubmissionError: There is a job with its idempotency key; nothing is kept.
            StoreUnavailableError: Whether the job was recorded is unknown.
        """
        now_ms = self._now_ms()
        due = {"publish_due_ms": now_ms + self._publish_after_ms, "pending_since_ms": now_ms}
        with translated_errors():
            self._images.insert_one({"_id": job.job_id, "bytes": image, "stored_ms": now_ms})
            try:
                self._jobs.insert_one(to_document(job) | due)
            except DuplicateKeyError:
                self._images.delete_one({"_id": job.job_id})
                raise RepeatedSubmissionError(job.job_id) from None

    def find_by_key(self, idempotency_key: str) -> Job | None:
        """Return the job that was submitted with this key, or None."""
        with translated_errors():
            document = self._jobs.find_one({"idempotency.key": idempotency_key})
        return None if document is None else from_document(document)

    def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if it is unknown or expired."""
        with translated_errors():
            document = self._jobs.find_one({"_id": job_id})
        return None if document is None else from_document(document)

    def image(self, job_id: JobId) -> bytes | None:
        """Return the bytes of the job's image, or None if it is gone."""
        with translated_errors():
            document = self._images.find_one({"_id": job_id})
        return None if document is None else bytes(document["bytes"])

    def claim(self, job_id: JobId, *, fence: int, owner: OwnerId) -> Job | None:
        """Take a pending job that still stands at *fence*; None if there is none.

        One round trip for what ``Job.claim`` and ``save`` do in two.
        """
        with translated_errors():
            document = self._jobs.find_one_and_update(
                {"_id": job_id, "state": JobState.PENDING.value, "fence": fence},
                {
                    "$set": {"state": JobState.PROCESSING.value, "owner": owner},
                    "$inc": {"fence": 1, "attempts": 1},
                    "$currentDate": {"started_at": True},
                    # Published it was, noted or not: there is a delivery to claim it for.
                    "$unset": {"publish_due_ms": "", "waiting_ms": ""},
                },
                return_document=ReturnDocument.AFTER,
            )
        return None if document is None else from_document(document)

    def save(self, job: Job, *, previous: Job) -> None:
        """Replace *previous* by *job*, unless somebody moved it first.

        Raises:
            StaleJobError: The stored job is no longer *previous*.
            StoreUnavailableError: Whether the job was saved is unknown.
        """
        with translated_errors():
            update = moved_to(job, now_ms=self._now_ms())
            matched = self._jobs.update_one(unmoved(previous), update).matched_count
        if matched == 0:
            raise StaleJobError(f"job {job.job_id} is no longer {previous.state} at its fence")

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
        """Note that the messages of *jobs* reached the queue, but not of those that moved on.

        A consumer may have claimed one before its publisher gets here. And a publisher that is
        late by minutes must not note the message that was lost since, instead of the next one.
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

    def take_unpublished(self, *, lease_s: float) -> Job | None:
        """Take a job whose publishing is due, so that no other courier does for *lease_s*."""
        now_ms = self._now_ms()
        with translated_errors():
            document = self._jobs.find_one_and_update(
                {"publish_due_ms": {"$lte": now_ms}},
                {"$set": {"publish_due_ms": now_ms + int(lease_s * 1000)}},
                return_document=ReturnDocument.AFTER,
            )
        return None if document is None else from_document(document)

    def processing(self) -> Iterable[Job]:
        """Return the jobs that are being worked on, or seem to be."""
        with translated_errors():
            documents = list(self._jobs.find({"state": JobState.PROCESSING.value}))
        return [from_document(document) for document in documents]

    def newest_claim_ms(self) -> int | None:
        """Return since when the youngest of the jobs being worked on had waited; None without."""
        fields = {"_id": False, "pending_since_ms": True}
        with translated_errors():
            documents = list(self._jobs.find({"state": JobState.PROCESSING.value}, fields))
        return max((document.get("pending_since_ms", 0) for document in documents), default=None)

    def waiting(self, *, queued_before_ms: int, at_most: int) -> Sequence[Job]:
        """Return some pending jobs whose last message was queued before a time."""
        queued = {"waiting_ms": {"$lt": queued_before_ms}}
        with translated_errors():
            documents = list(self._jobs.find(queued).limit(at_most))
        return [from_document(document) for document in documents]

    def publish_again(
        self, job: Job, *, after_s: float, queued_before_ms: int | None = None
    ) -> bool:
        """Let a published job's publishing be due again after *after_s*.

        Not if somebody moved the job, or its publishing is due already, or if its last message
        was queued at *queued_before_ms* or later. Returns whether it is.
        """
        queued = {"$exists": True} if queued_before_ms is None else {"$lt": queued_before_ms}
        with translated_errors():
            result = self._jobs.update_one(
                unmoved(job) | {"state": JobState.PENDING.value, "waiting_ms": queued},
                {
                    "$set": {"publish_due_ms": self._now_ms() + int(after_s * 1000)},
                    "$unset": {"waiting_ms": ""},
                    "$inc": {"republished": 1},
                },
            )
        return result.matched_count == 1

    def expire(self, *, retention_s: float) -> int:
        """Delete jobs that finished longer ago than *retention_s*, and their images with them.

        At most some hundred at once; returns how many.
        """
        oldest_ms = self._now_ms() - int(retention_s * 1000)
        with translated_errors():
            expired = self._jobs.find({"finished_ms": {"$lte": oldest_ms}}, {"_id": True})
            job_ids = [document["_id"] for document in expired.limit(_EXPIRE_AT_ONCE)]
            if job_ids:
                # The images first: a kill in between leaves jobs, which the next round finds.
                self._images.delete_many({"_id": {"$in": job_ids}})
                # One that was retried just now stays; without its image, it will say so.
                old = {"finished_ms": {"$lte": oldest_ms}}
                self._jobs.delete_many({"_id": {"$in": job_ids}} | old)
        return len(job_ids)


def _as_published(job: Job) -> Document:
    # None fits a document without the field.
    return unmoved(job) | {
        "state": JobState.PENDING.value,
        "republished": job.republished or None,
    }
