"""A job as a document: read back unchanged, whatever later versions add."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.jobs import Job, JobState
from common.mongo.documents import from_document, to_document
from tests.examples import a_job
from tests.records import DAMAGES, FULL_JOB, at, damaged, document_of, in_state, objects_in

PLACES = [place for place in objects_in(document_of(FULL_JOB)) if place != ("metadata",)]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
# No later version gives a new member the name of an existing one.
names = st.text().map(lambda name: f"later {name}")


@pytest.mark.parametrize("state", JobState)
def test_a_job_is_read_as_it_was_written(state: JobState) -> None:
    full, plain = in_state(FULL_JOB, state), in_state(a_job(), state)

    assert from_document(document_of(full)) == full
    assert from_document(to_document(plain)) == plain


@given(st.lists(st.tuples(st.sampled_from(PLACES), names, values), max_size=8))
def test_whatever_members_are_added_anywhere_the_job_is_the_same(
    added: list[tuple[Any, str, Any]],
) -> None:
    document = copy.deepcopy(document_of(FULL_JOB))
    for place, name, value in added:
        at(document, place)[name] = value

    assert from_document(document) == FULL_JOB


@given(
    st.sampled_from(
        [(*place, name) for place in PLACES for name in at(document_of(FULL_JOB), place)]
    ),
    values,
)
def test_whatever_a_member_holds_the_record_is_read_or_refused(path: Any, value: Any) -> None:
    document = copy.deepcopy(document_of(FULL_JOB))
    at(document, path[:-1])[path[-1]] = value

    try:
        job = from_document(document)
    except ValidationError:
        return
    assert isinstance(job, Job)
    assert from_document(document_of(job)) == job


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_refused(damage: str) -> None:
    with pytest.raises(ValidationError):
        from_document(damaged(document_of(FULL_JOB), damage))


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize(
    "path",
    [("result", "predictions", 0, "probability"), ("result", "queue_ms"), ("metadata", "shelf")],
)
def test_a_number_that_json_cannot_carry_is_refused(path: Any, number: float) -> None:
    document = document_of(FULL_JOB)
    at(document, path[:-1])[path[-1]] = number

    with pytest.raises(ValidationError, match="not finite"):
        from_document(document)


def test_a_date_that_python_cannot_hold_is_refused() -> None:
    with pytest.raises(ValidationError, match="created_at"):
        from_document(document_of(FULL_JOB, created_at=DatetimeMS(2**60)))


@pytest.mark.parametrize("name", ["owner", "error", "result", "metadata", "republished"])
def test_a_member_that_is_null_means_the_same_as_none(name: str) -> None:
    document = document_of(FULL_JOB)
    absent = {key: value for key, value in document.items() if key != name}

    assert from_document({**document, name: None}) == from_document(absent)


def test_a_way_of_handing_in_that_is_unknown_here_is_kept() -> None:
    document = document_of(FULL_JOB)
    document["image"]["source"] = "url"

    assert from_document(document) == replace(FULL_JOB, image=replace(FULL_JOB.image, source="url"))
