"""Let a consumer's lane hang while a file is there; see ``tests/drills/lanes.py``.

The file says where: before the engine is asked, or with the result in hand. A consumer that
is to hang imports this module first; nothing in the service itself knows of it.
"""

import os
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from common.mongo.jobs import MongoJobStore

_LOOK_AGAIN_S: Final = 0.02


class Place(StrEnum):
    """Stands for the call to the store that does not return."""

    BEFORE_THE_ENGINE = "image"
    BEFORE_THE_SAVE = "save"


def order_file(folder: Path) -> Path:
    """Return the file that makes lanes hang while it exists."""
    return folder / "hang"


def report_file(folder: Path, pid: int) -> Path:
    """Return the file in which a consumer whose lane hangs writes the id of its job."""
    return folder / f"hung-{pid}"


def _hang_at(place: Place, folder: Path) -> None:
    order, report = order_file(folder), report_file(folder, os.getpid())
    call: Callable[..., Any] = getattr(MongoJobStore, place)
    reporting = threading.Lock()

    def hanging(self: Any, job: Any, **options: Any) -> Any:
        if order.exists() and order.read_text() == place:
            # A consumer has several lanes, and all of them hang; one says so.
            is_first = reporting.acquire(blocking=False)
            if is_first:
                draft = report.with_suffix(".draft")
                draft.write_text(getattr(job, "job_id", job))
                draft.rename(report)  # nobody reads half of it
            while order.exists():
                time.sleep(_LOOK_AGAIN_S)
            if is_first:
                # One that began to hang in the moment in which the order went hung for nothing.
                report.unlink(missing_ok=True)
                reporting.release()
        return call(self, job, **options)

    setattr(MongoJobStore, place, hanging)


# Who orders it imports this module, too, for the names; its own store never hangs.
if (_folder := os.environ.get("DARKROOM_STATE_DIR")) is not None:
    for _place in Place:
        _hang_at(_place, Path(_folder))
