"""Jobs and their images, as the API and the consumers use them."""

from typing import Protocol

from common.jobs import Job, JobId, OwnerId


class JobStore(Protocol):
    """Jobs and their images.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``. Those that return
    a job or an image raise ``UnreadableRecordError`` where this version cannot read what is there.
    """

    def add(self, job: Job, image: bytes) -> None:
        """Record a new pending job and its image, the image first.

        Raises:
            RepeatedSubmissionError: There is a job with its idempotency key; nothing is kept.
        """
        ...

    def find_by_key(self, idempotency_key: str) -> Job | None:
        """Return the job that was submitted with this key, or None."""
        ...

    def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if it is unknown or expired."""
        ...

    def image(self, job_id: JobId) -> bytes | None:
        """Return the bytes of the job's image, or None if it is gone."""
        ...

    def claim(self, job_id: JobId, *, fence: int, owner: OwnerId) -> Job | None:
        """Claim a pending job that is still at *fence*; None if there is none."""
        ...

    def put_back(self, job_id: JobId, *, fence: int, owner: OwnerId) -> None:
        """Undo the claim of *owner* that led to *fence*, if it still holds; it costs no attempt.

        For a record that this version cannot read.
        """
        ...

    def save(self, job: Job, *, previous: Job) -> None:
        """Replace *previous* by *job*, unless somebody moved it first.

        Raises:
            StaleJobError: The stored job is no longer *previous*.
        """
        ...

    def delete(self, job: Job) -> None:
        """Delete the job with its image, unless somebody moved it first.

        Raises:
            StaleJobError: The stored job is no longer *job*; its image may be gone already.
        """
        ...

    def delete_image(self, job_id: JobId) -> None:
        """Delete the image of a job that no longer needs it."""
        ...

    def mark_published(self, *jobs: Job) -> None:
        """Record that the messages of *jobs* reached the queue; jobs that moved on are skipped."""
        ...
