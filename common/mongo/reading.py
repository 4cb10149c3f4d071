"""Read records that another version may have written, or that are damaged.

Members that this version does not know are ignored at every depth. A record that this
version cannot read is logged and counted, stays unchanged, and never prevents reading the others.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import structlog
from pydantic import ValidationError

from common.errors import UnreadableRecordError
from common.mongo.connection import Document

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

# Per kind of record and process; beyond it, all are forgotten and logged again.
_FORGET_AFTER_S: Final = 3600.0
_MOST_REMEMBERED: Final = 10_000
_LOGGED_ONE_BY_ONE: Final = 100

_MOST_REASONS: Final = 3
_LONGEST_TEXT: Final = 100


class Reader(Generic[T]):
    """Reads documents of one kind.

    Args:
        kind: The name of such documents in the log.
        read: Converts a document, or raises pydantic's ``ValidationError``.
    """

    def __init__(self, kind: str, read: Callable[[Document], T]) -> None:
        self._kind = kind
        self._read = read
        self._unreadable = _Unreadable(kind)

    def one(self, document: Document) -> T:
        """Read *document*.

        Raises:
            UnreadableRecordError: This version cannot read it.
        """
        try:
            return self._read(document)
        except ValidationError as exc:
            record_id, reason = repr(document.get("_id"))[:_LONGEST_TEXT], _reason(exc)
            self._unreadable.note(record_id, reason)
            # Without the cause, which quotes the record.
            raise UnreadableRecordError(f"{self._kind} {record_id}: {reason}") from None

    def readable(self, documents: Iterable[Document]) -> Iterator[T]:
        """Read the *documents* that this version can read."""
        for document in documents:
            with suppress(UnreadableRecordError):
                yield self.one(document)


def present(fields: Mapping[str, Any]) -> Document:
    """Remove null members: they mean the same as absent ones."""
    return {name: value for name, value in fields.items() if value is not None}


class _Unreadable:
    """The records that could not be read lately. Each is logged once."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._since_s = time.monotonic()

    def note(self, record_id: str, reason: str) -> None:
        with self._lock:
            count = self._count(record_id)
        if count is not None and (count <= _LOGGED_ONE_BY_ONE or count % _LOGGED_ONE_BY_ONE == 0):
            log.warning(
                "skipped a record that this version cannot read",
                kind=self._kind,
                record=record_id,
                reason=reason,
                unreadable=count,
            )

    def _count(self, record_id: str) -> int | None:
        """Return how many there are now, or None if this one is known already."""
        now_s = time.monotonic()
        if now_s - self._since_s >= _FORGET_AFTER_S:
            self._ids.clear()
            self._since_s = now_s
        if record_id in self._ids or len(self._ids) >= _MOST_REMEMBERED:
            return None
        self._ids.add(record_id)
        return len(self._ids)


def _reason(error: ValidationError) -> str:
    """Name the invalid members, without their values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:_MOST_REASONS])
    return "; ".join(reason.removeprefix(": ")[:_LONGEST_TEXT] for reason in reasons)
