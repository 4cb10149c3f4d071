"""The images that nobody will ever ask for: those without a job."""

from typing import Final

from pymongo.database import Database

from common.mongo.connection import Document, translated_errors
from common.ports import Sweep

# nx-27017 reads whole documents, whatever is asked for: 60 kB take it half a millisecond.
_SWEEP_AT_ONCE: Final = 50


class MongoImages:
    """The images of one database, by the time at which they were stored."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = database["jobs"]
        self._images = database["images"]

    def ensure_indexes(self) -> None:
        """Make the index that a sweep needs."""
        with translated_errors():
            self._images.create_index("stored_ms", sparse=True)

    def delete_orphans(self, *, from_ms: int, until_ms: int) -> Sweep:
        """Delete those without a job among the first images stored from *from_ms* on.

        Only such as were stored before *until_ms*.
        """
        stored = {"stored_ms": {"$gte": from_ms, "$lt": until_ms}}
        with translated_errors():
            found = self._images.find(stored, {"stored_ms": True}).sort("stored_ms")
            times_ms = {image["_id"]: image["stored_ms"] for image in found.limit(_SWEEP_AT_ONCE)}
            orphans = times_ms.keys() - self._with_a_job(list(times_ms))
            if orphans:
                self._images.delete_many({"_id": {"$in": list(orphans)}})
        if len(times_ms) < _SWEEP_AT_ONCE:
            return Sweep(len(orphans), until_ms)
        # More may have been stored in that same millisecond.
        return Sweep(len(orphans), max(from_ms + 1, *times_ms.values()))

    def _with_a_job(self, job_ids: list[str]) -> set[str]:
        if not job_ids:
            return set()
        jobs = self._jobs.find({"_id": {"$in": job_ids}}, {"_id": True})
        return {job["_id"] for job in jobs}
