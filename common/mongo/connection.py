"""Connect to MongoDB, with durable writes and our own errors."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bson.errors import BSONError
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database
from pymongo.errors import PyMongoError

from common.mongo.errors import meaning_of

Document = dict[str, Any]

_CLOCK_CHECK_S: Final = 60.0
# What the driver raises for what has no place in a document: other types, whole numbers over
# 64 bits, half a surrogate pair, members within members within members.
_NOT_ENCODED: Final = (BSONError, OverflowError, UnicodeError, RecursionError)


def connect(url: str, *, timeout_s: float) -> MongoClient[Document]:
    """Make a client, which connects at first use. The caller closes it.

    It must not be used across a fork: pymongo's threads and locks do not survive one.
    """
    timeout_ms = int(timeout_s * 1000)
    return MongoClient(
        url,
        appname="darkroom",
        tz_aware=True,
        # One date or text that Python cannot hold must not prevent reading the rest.
        datetime_conversion="DATETIME_AUTO",
        unicode_decode_error_handler="replace",
        serverSelectionTimeoutMS=timeout_ms,
        connectTimeoutMS=timeout_ms,
        # The limit of a whole call: each of its tries may take as long as a socket may be silent.
        timeoutMS=timeout_ms,
        # For pymongo's own calls, such as the one that ends its sessions.
        socketTimeoutMS=timeout_ms,
    )


def open_database(client: MongoClient[Document], name: str) -> Database[Document]:
    """Open a database whose acknowledged writes survive the loss of its primary.

    Set here, not in the URL: an accepted job must not depend on a connection string. Reads go to
    the primary, since a move that was decided on old data fails.
    """
    return client.get_database(
        name,
        write_concern=WriteConcern(w="majority", j=True),
        read_preference=ReadPreference.PRIMARY,
    )


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise our own errors instead of the driver's: outages or refusals.

    Raises:
        StoreUnavailableError: The call may succeed later.
        StoreRefusedError: It cannot, for example because its data cannot be encoded.
    """
    try:
        yield
    except (PyMongoError, *_NOT_ENCODED) as exc:
        raise meaning_of(exc) from exc


class ServerClock:
    """The store's clock, by which all processes compare times.

    The machines' own clocks may disagree by more than a lease.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._offset_ms = 0.0
        self._checked_s = -_CLOCK_CHECK_S

    def now_ms(self) -> int:
        """Return the server's time in milliseconds since 1970."""
        if time.monotonic() - self._checked_s >= _CLOCK_CHECK_S:
            with translated_errors():
                server = self._database.client.admin.command("hello")["localTime"]
            checked_s = time.monotonic()
            # In this order: another thread must not read a time that has no offset yet.
            self._offset_ms = server.timestamp() * 1000 - checked_s * 1000
            self._checked_s = checked_s
        return int(time.monotonic() * 1000 + self._offset_ms)
