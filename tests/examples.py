"""Jobs, workers and images that many tests begin with."""

import struct
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import PIL.Image
import pillow_heif

from common.jobs import Image, Job, JobId, OwnerId, Prediction, new_job_id
from common.workers import ModelState, ServedModel, WorkerRecord

# Pillow writes HEIF only with it.
pillow_heif.register_heif_opener()

TABBY = Prediction("tabby", 0.75)
JOB_ID = JobId("4f0c5a54b7b84c0e8f3a2d1e6b9c7a10")
OWNER = OwnerId("here-1-0a0b0c0d")


def a_job(job_id: JobId | None = None, **changes: Any) -> Job:
    """Make a pending job."""
    fields: Mapping[str, Any] = {
        "job_id": job_id or new_job_id(),
        "model": "digits",
        "top_k": 5,
        "image": Image(
            sha256="0" * 64, bytes=5, format="PNG", width=8, height=8, source="multipart"
        ),
        # MongoDB keeps milliseconds.
        "created_at": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "metadata": {},
    }
    return Job(**{**fields, **changes})


def a_worker(worker_id: OwnerId = OWNER, *models: ServedModel) -> WorkerRecord:
    """Make a consumer, which serves digits unless told otherwise."""
    return WorkerRecord(
        worker_id=worker_id, host="here", pid=1, models=models or (a_model("digits"),)
    )


def a_model(name: str, state: ModelState = ModelState.READY, **changes: Any) -> ServedModel:
    """Make a served model."""
    return ServedModel(**{"name": name, "state": state, "version": "sha256:0", **changes})


def an_image(
    image_format: str = "PNG", *, mode: str = "RGB", size: tuple[int, int] = (8, 6)
) -> bytes:
    """Encode a small image of one colour."""
    buffer = BytesIO()
    PIL.Image.new(mode, size).save(buffer, format=image_format)
    return buffer.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """Make a small file whose header promises *width* x *height* pixels."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(5_000_000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
