"""What the errors of MongoDB's driver mean: outages are retried, refusals are not."""

import bson
import pytest
from pymongo import errors

from common.errors import (
    DarkroomError,
    StoreForbiddenError,
    StoreFullError,
    StoreRefusedError,
    StoreUnavailableError,
)
from common.mongo.connection import translated_errors
from common.text import cleaned


def failed(code: int | None, text: str = "no", labels: tuple[str, ...] = ()) -> Exception:
    return errors.OperationFailure(text, code, {"errorLabels": list(labels)})


def kind_of(error: Exception) -> type[DarkroomError]:
    with pytest.raises(DarkroomError) as raised, translated_errors():
        raise error
    return type(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        errors.ServerSelectionTimeoutError("nobody is there"),
        errors.AutoReconnect("connection closed"),
        errors.NetworkTimeout("timed out"),
        errors.NotPrimaryError("not primary"),
        errors.ConnectionFailure("refused"),
        errors.WTimeoutError("no majority", 64),
        errors.WriteConcernError("no majority", 100),
        errors.ExecutionTimeout("too long", 50),
        failed(10107, "not primary"),
        failed(11600, "shutting down"),
        failed(189, "primary stepped down"),
        failed(4711, "try again", ("RetryableWriteError",)),
        failed(8, "database is locked"),
        failed(None, "disk I/O error"),
    ],
    ids=repr,
)
def test_an_outage_passes(error: Exception) -> None:
    assert kind_of(error) is StoreUnavailableError


@pytest.mark.parametrize(
    "error",
    [
        failed(14031, "out of disk space"),
        failed(8, "database or disk is full"),
        failed(None, "No space left on device"),
        failed(8000, "you are over your space quota"),
    ],
    ids=repr,
)
def test_a_full_disk_is_an_outage_of_its_own_kind(error: Exception) -> None:
    assert kind_of(error) is StoreFullError
    assert issubclass(StoreFullError, StoreUnavailableError)


@pytest.mark.parametrize(
    "error",
    [failed(13, "not authorized"), failed(18, "authentication failed"), failed(11, "no such user")],
    ids=repr,
)
def test_what_is_not_allowed_is_named_so(error: Exception) -> None:
    assert kind_of(error) is StoreForbiddenError


@pytest.mark.parametrize(
    "error",
    [
        errors.DocumentTooLarge("over 16 MiB"),
        errors.InvalidOperation("cannot do that"),
        bson.errors.InvalidDocument("cannot encode object"),
        bson.errors.InvalidStringData("not UTF-8"),
        OverflowError("over 64 bits"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        failed(121, "document failed validation"),
        failed(2, "bad value"),
        # A client's own text must not turn a refusal into an outage.
        failed(2, "cannot store 'disk is full, database is locked'"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_does_not_pass(error: Exception) -> None:
    expected = (
        StoreUnavailableError if isinstance(error, errors.InvalidOperation) else StoreRefusedError
    )

    assert kind_of(error) is expected


def test_of_several_writes_a_refusal_counts_before_an_outage() -> None:
    details = {
        "writeErrors": [
            {"code": 11600, "errmsg": "shutting down"},
            {"code": 121, "errmsg": "document failed validation"},
        ]
    }

    assert kind_of(errors.BulkWriteError(details)) is StoreRefusedError


def test_the_text_of_an_error_is_short_and_can_be_shown() -> None:
    with pytest.raises(StoreRefusedError) as raised, translated_errors():
        raise failed(2, "half \ud800 " + "x" * 10_000)

    assert len(str(raised.value)) <= 500
    assert "\ud800" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("half \ud800", "half \N{REPLACEMENT CHARACTER}"),
        ("NUL \0 bell \a", "NUL \N{REPLACEMENT CHARACTER} bell \N{REPLACEMENT CHARACTER}"),
        ("äöü 漢字 🙂", "äöü 漢字 🙂"),
        ("x" * 31, "x" * 29 + "…"),
    ],
)
def test_text_is_cleaned_and_cut(text: str, fit: str) -> None:
    assert cleaned(text, most=30) == fit
