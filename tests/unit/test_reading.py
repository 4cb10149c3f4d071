"""Unreadable records are skipped, logged once and counted."""

from collections.abc import Mapping
from typing import Any

import pytest
import structlog
from pydantic import TypeAdapter

from common.errors import UnreadableRecordError
from common.mongo.reading import Reader

READ = TypeAdapter(dict[str, int]).validate_python


def a_reader() -> Reader[dict[str, int]]:
    return Reader("number", READ)


def logged(reader: Reader[dict[str, int]], *documents: dict[str, Any]) -> list[Mapping[str, Any]]:
    with structlog.testing.capture_logs() as events:
        assert list(reader.readable(documents)) == []
    return list(events)


def test_the_readable_ones_are_read_in_their_order() -> None:
    documents: list[dict[str, Any]] = [{"_id": 1}, {"_id": 2, "x": "text"}, {"_id": 3}]

    assert list(a_reader().readable(documents)) == [{"_id": 1}, {"_id": 3}]


def test_the_log_names_the_record_and_its_member_but_not_what_it_holds() -> None:
    [event] = logged(a_reader(), {"_id": 7, "x": "a secret"})

    assert (event["kind"], event["record"], event["unreadable"]) == ("number", "7", 1)
    assert event["reason"].startswith("x: ")
    assert "secret" not in str(event)


def test_the_error_says_the_same() -> None:
    with pytest.raises(UnreadableRecordError, match=r"^number 7: x: Input") as raised:
        a_reader().one({"_id": 7, "x": "a secret"})

    assert raised.value.__suppress_context__


def test_a_record_that_is_met_again_and_again_is_logged_once() -> None:
    reader = a_reader()

    assert len(logged(reader, *[{"_id": 7, "x": "text"}] * 100)) == 1
    assert logged(reader, {"_id": 7, "x": "text"}) == []


def test_of_very_many_records_the_log_tells_the_number() -> None:
    events = logged(a_reader(), *({"_id": number, "x": "text"} for number in range(20_000)))

    assert len(events) < 200
    assert events[-1]["unreadable"] == 10_000


def test_after_an_hour_they_are_logged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr("common.mongo.reading.time.monotonic", lambda: now_s)
    reader = a_reader()
    logged(reader, {"_id": 7, "x": "text"})

    now_s = 3601.0

    assert len(logged(reader, {"_id": 7, "x": "text"})) == 1


@pytest.mark.parametrize("record_id", [None, {"a": [1]}, [1], "x" * 10_000, b"\xff"])
def test_an_id_may_be_anything(record_id: object) -> None:
    [event] = logged(a_reader(), {"_id": record_id, "x": "text"})

    assert len(event["record"]) <= 100
