"""Translate the errors of MongoDB's driver: outages or refusals."""

import re
from collections.abc import Iterator
from typing import Any, Final

from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError, WriteConcernError

from common.errors import (
    DarkroomError,
    StoreForbiddenError,
    StoreFullError,
    StoreRefusedError,
    StoreUnavailableError,
)
from common.text import cleaned

_LONGEST_TEXT: Final = 500

# By name in https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_OUTAGES: Final = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        24,  # LockTimeout
        43,  # CursorNotFound
        46,  # LockBusy
        50,  # MaxTimeMSExpired
        64,  # WriteConcernTimeout
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        100,  # UnsatisfiableWriteConcern
        112,  # WriteConflict
        117,  # ConflictingOperationInProgress
        133,  # FailedToSatisfyReadPreference
        134,  # ReadConcernMajorityNotAvailableYet
        175,  # QueryPlanKilled
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        237,  # CursorKilled
        246,  # SnapshotUnavailable
        262,  # ExceededTimeLimit
        279,  # ClientDisconnect
        384,  # ConnectionError
        462,  # IngressRequestRateLimitExceeded
        9001,  # SocketException
        10058,  # LegacyNotPrimary
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted
        11602,  # InterruptedDueToReplStateChange
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
    }
)
_OUT_OF_DISK_SPACE: Final = 14031
_FORBIDDEN: Final = frozenset(
    {
        11,  # UserNotFound
        13,  # Unauthorized
        18,  # AuthenticationFailed
        31,  # RoleNotFound
        33,  # AuthSchemaIncompatible
        8000,  # AtlasError: its proxy's code for a wrong password
    }
)
# The driver's label for errors that a repeated write may not meet.
_RETRYABLE: Final = ("RetryableWriteError", "TransientTransactionError")

_FULL: Final = re.compile("disk is full|no space left|space quota|quota exceeded", re.IGNORECASE)
# For these codes only the text tells what happened. Under other codes the text is not searched,
# since it may quote a client. nx-27017 uses 8 or none for everything.
_SAY_NOTHING: Final = frozenset(
    {
        None,
        1,  # InternalError
        8,  # UnknownError
        39,  # FileStreamFailed
        96,  # OperationFailed
        8000,  # AtlasError
    }
)
# In the words of SQLite and of Python's module sqlite3.
# https://github.com/sqlite/sqlite/blob/master/src/main.c, sqlite3ErrStr
_OUTAGES_OF_SQLITE: Final = re.compile(
    "is locked|disk i/o error|unable to open database|readonly database|schema has changed"
    "|interrupted|locking protocol|query aborted|out of memory|disk image is malformed"
    "|closed database|within a transaction|transaction is active|statements in progress",
    re.IGNORECASE,
)


def meaning_of(error: Exception) -> DarkroomError:
    """Return our own error for what the driver raised.

    Data that the driver cannot encode, and documents that are too large, never reach MongoDB.
    They are refusals, too.
    """
    if isinstance(error, BulkWriteError):
        return _worst(list(_of_each(error)), error)
    if isinstance(error, OperationFailure):
        return _kind(error)(_described(error))
    if isinstance(error, PyMongoError):  # the connection, the pool, the choice of a server
        return StoreUnavailableError(_described(error))
    return StoreRefusedError(_described(error))


def _kind(error: OperationFailure) -> type[DarkroomError]:
    text = str(error) if error.code in _SAY_NOTHING else ""
    if error.code == _OUT_OF_DISK_SPACE or _FULL.search(text):
        return StoreFullError
    is_outage = (
        error.code in _OUTAGES
        or error.timeout
        or isinstance(error, WriteConcernError)
        or any(map(error.has_error_label, _RETRYABLE))
        or _OUTAGES_OF_SQLITE.search(text)
    )
    if is_outage:
        return StoreUnavailableError
    return StoreForbiddenError if error.code in _FORBIDDEN else StoreRefusedError


def _of_each(error: BulkWriteError) -> Iterator[DarkroomError]:
    details: Any = error.details or {}
    for one in details.get("writeErrors", ()):
        yield meaning_of(OperationFailure(str(one.get("errmsg")), one.get("code"), one))
    for one in details.get("writeConcernErrors", ()):
        yield meaning_of(WriteConcernError(str(one.get("errmsg")), one.get("code"), one))


def _worst(found: list[DarkroomError], error: Exception) -> DarkroomError:
    """Prefer a refusal to an outage: the outage will show again, the refusal might not."""
    refusals = [one for one in found if isinstance(one, StoreRefusedError)]
    return next(iter(refusals or found), StoreUnavailableError(_described(error)))


def _described(error: Exception) -> str:
    text = f"MongoDB: {type(error).__name__}: {error}"
    return cleaned(text, most=_LONGEST_TEXT)
