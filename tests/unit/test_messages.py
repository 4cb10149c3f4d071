"""A message is decoded as it was encoded, and invalid bodies are recognised."""

import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import MalformedMessageError
from common.jobs import JobId
from common.messages import ClassifyMessage
from tests.examples import a_job


@given(
    st.text(st.characters(codec="ascii")),
    st.text(),
    st.integers(min_value=0, max_value=2**63 - 1),
)
def test_what_is_encoded_is_decoded_unchanged(job_id: str, model: str, fence: int) -> None:
    message = ClassifyMessage(id=JobId(job_id), model=model, fence=fence)

    assert ClassifyMessage.decode(message.encode()) == message


def test_a_message_names_the_job_its_model_and_its_fence_and_nothing_else() -> None:
    job = a_job(fence=2)

    fields = json.loads(ClassifyMessage.for_job(job).encode())

    assert fields == {"id": job.job_id, "model": "digits", "fence": 2}


@given(st.binary(max_size=200))
def test_any_other_bytes_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        ClassifyMessage.decode(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"[",
        b'{"id": 1, "model": "m", "fence": 0}',
        b'{"id": "a", "model": "m"}',
        # No store accepts these as ids.
        b'{"id": "a", "model": "m", "fence": 9223372036854775808}',
        b'{"id": "a", "model": "m", "fence": -1}',
        b'{"id": "\\ud800", "model": "m", "fence": 0}',
    ],
)
def test_json_that_is_no_message_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        ClassifyMessage.decode(body)


def test_a_deeply_nested_body_leaves_finalizers_room_to_work() -> None:
    """These fail halfway through if the stack ends, also where the garbage collector calls them."""
    failed: list[str] = []

    def finalize(phase: str, _info: dict[str, int]) -> None:
        try:
            _descend(100)
        except RecursionError:
            failed.append(phase)

    thresholds = gc.get_threshold()
    gc.callbacks.append(finalize)
    gc.set_threshold(1)
    try:
        with pytest.raises(MalformedMessageError):
            ClassifyMessage.decode(b"[" * 100_000)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(finalize)

    assert not failed


def _descend(depth: int) -> None:
    if depth:
        _descend(depth - 1)


def test_members_that_a_later_version_adds_are_passed_over() -> None:
    message = ClassifyMessage.decode(b'{"id": "a", "model": "m", "fence": 1, "priority": 3}')

    assert message.fence == 1
