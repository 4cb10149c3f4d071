"""The courier's queries: jobs that are due, processing, waiting or expired."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.database import Database

from common.errors import UnreadableRecordError
from common.jobs import Job, JobState
from common.mongo.connection import Document, translated_errors
from common.mongo.documents import from_document
from common.mongo.moves import unmoved
from common.mongo.reading import Reader

# Deleting more at once would keep the store busy for too long.
_EXPIRE_AT_ONCE: Final = 200
# How long an unreadable record is left to processes of another version.
LEFT_ALONE_MS: Final = 30_000
# So that a round ends, however many unreadable records there are.
_PASS_OVER_AT_ONCE: Final = 100


class MongoOutbox:
    """The jobs of one database as the courier sees them.

    Unreadable records are skipped, so that they do not hide the others.

    Args:
        database: The database of the jobs.
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
        self._reader = Reader("job", from_document)

    def take_unpublished(self, *, lease_s: float) -> Job | None:
        """Take a job whose publishing is due, so that no other courier does for *lease_s*.

        Unreadable records are skipped, and not met again for a while.
        """
        for _ in range(_PASS_OVER_AT_ONCE):
            document = self._take_due(lease_ms=int(lease_s * 1000))
            if document is None:
                return None
            try:
                return self._reader.one(document)
            except UnreadableRecordError:
                self._leave_alone(document)
        return None

    def _take_due(self, *, lease_ms: int) -> Document | None:
        now_ms = self._now_ms()
        with translated_errors():
            document: Document | None = self._jobs.find_one_and_update(
                {"publish_due_ms": {"$lte": now_ms}},
                {"$set": {"publish_due_ms": now_ms + lease_ms}},
                return_document=ReturnDocument.AFTER,
            )
        return document

    def _leave_alone(self, document: Document) -> None:
        taken = {"_id": document["_id"], "publish_due_ms": document["publish_due_ms"]}
        later = {"$set": {"publish_due_ms": self._now_ms() + LEFT_ALONE_MS}}
        with translated_errors():
            self._jobs.update_one(taken, later)

    def processing(self) -> Iterable[Job]:
        """Return the jobs whose state is processing."""
        with translated_errors():
            documents = list(self._jobs.find({"state": JobState.PROCESSING.value}))
        return list(self._reader.readable(documents))

    def newest_claim_ms(self) -> int | None:
        """Return the latest ``pending_since_ms`` among the processing jobs, or None."""
        fields = {"_id": False, "pending_since_ms": True}
        with translated_errors():
            documents = list(self._jobs.find({"state": JobState.PROCESSING.value}, fields))
        since_ms = (document.get("pending_since_ms") for document in documents)
        return max((each for each in since_ms if isinstance(each, int)), default=None)

    def oldest_waiting_ms(self) -> int | None:
        """Return the earliest ``pending_since_ms`` among the pending jobs, or None.

        The first of those that are published, or of those that are not: each has an index.
        """
        fields = {"_id": False, "pending_since_ms": True}
        with translated_errors():
            first = [
                document.get("pending_since_ms")
                for due in ("waiting_ms", "publish_due_ms")
                for document in self._jobs.find({due: {"$gt": 0}}, fields).sort(due).limit(1)
            ]
        return min((since_ms for since_ms in first if isinstance(since_ms, int)), default=None)

    def waiting(self, *, queued_before_ms: int, at_most: int) -> Sequence[Job]:
        """Return some pending jobs whose last message was queued before a time."""
        queued: Document = {"waiting_ms": {"$lt": queued_before_ms}}
        passed_over: list[Any] = []
        while True:
            with translated_errors():
                documents = list(self._jobs.find(queued).limit(at_most))
            jobs = list(self._reader.readable(documents))
            if jobs or len(documents) < at_most:
                return jobs
            # None of them can be read: they must not displace others.
            passed_over += [document["_id"] for document in documents]
            queued["_id"] = {"$nin": passed_over}

    def publish_again(
        self, job: Job, *, after_s: float, queued_before_ms: int | None = None
    ) -> bool:
        """Make the publishing of a published job due again after *after_s*.

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
                # A job that was retried just now stays; without its image it will fail and say so.
                old = {"finished_ms": {"$lte": oldest_ms}}
                self._jobs.delete_many({"_id": {"$in": job_ids}} | old)
        return len(job_ids)
