"""Images without a job."""

from typing import Any, Final

from pymongo.database import Database

from common.mongo.connection import Document, translated_errors
from common.ports.images import Sweep

# nx-27017 reads whole documents, even for a projection: 60 kB take half a millisecond.
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
        """Delete images without a job among the first ones stored from *from_ms* on.

        Only images stored before *until_ms* are considered.
        """
        stored = {"stored_ms": {"$gte": from_ms, "$lt": until_ms}}
        with translated_errors():
            found = self._images.find(stored, {"stored_ms": True}).sort("stored_ms")
            images = list(found.limit(_SWEEP_AT_ONCE))
            orphans = self._without_a_job([image["_id"] for image in images])
            if orphans:
                self._images.delete_many({"_id": {"$in": orphans}})
        if len(images) < _SWEEP_AT_ONCE:
            return Sweep(len(orphans), until_ms)
        # More may have been stored in the same millisecond.
        return Sweep(len(orphans), max(from_ms + 1, *(image["stored_ms"] for image in images)))

    def _without_a_job(self, image_ids: list[Any]) -> list[Any]:
        if not image_ids:
            return []
        jobs = self._jobs.find({"_id": {"$in": image_ids}}, {"_id": True})
        with_a_job = [job["_id"] for job in jobs]
        # Lists, since an id may be anything that MongoDB accepts, even values without a hash.
        return [image_id for image_id in image_ids if image_id not in with_a_job]
