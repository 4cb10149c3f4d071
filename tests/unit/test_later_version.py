"""The drills make a later version with a patch, which must apply to this version."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from common.messages import ClassifyMessage
from tests.examples import a_worker
from tests.records import FULL_JOB, at, document_of, objects_in
from tests.versions import MEMBER, make_later_version

_TELL: Final = """
import json
from dataclasses import asdict
from common.jobs import JobState
from common.messages import ClassifyMessage
from common.workers import ModelState
from consumer import later, main
from tests.examples import a_worker
from tests.records import FULL_JOB, document_of

print(json.dumps({
    "job": document_of(FULL_JOB),
    "worker": asdict(a_worker()),
    "message": json.loads(ClassifyMessage.for_job(FULL_JOB).encode()),
    "states": [*JobState, *ModelState],
}, default=str))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A message as the later version writes it."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = make_later_version(tmp_path_factory.mktemp("versions") / "later")
    return _run_in(folder)


def _run_in(folder: Path) -> dict[str, Any]:
    ended = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-c", _TELL], cwd=folder, check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_it_adds_a_member_to_every_object_in_a_job(told: dict[str, Any]) -> None:
    # Metadata belong to the client.
    places = [place for place in objects_in(document_of(FULL_JOB)) if place != ("metadata",)]

    assert all(MEMBER in at(told["job"], place) for place in places)


def test_it_adds_a_member_to_every_object_in_a_worker_and_to_the_message(
    told: dict[str, Any],
) -> None:
    assert MEMBER in told["worker"]
    assert all(MEMBER in model for model in told["worker"]["models"])
    assert MEMBER in told["message"]


def test_it_has_states_of_its_own(told: dict[str, Any]) -> None:
    assert {"saving", "warming"} <= set(told["states"])


def test_this_version_reads_its_messages(told: dict[str, Any]) -> None:
    assert ClassifyMessage.decode(json.dumps(told["message"]).encode()).id == FULL_JOB.job_id


def test_this_version_has_none_of_that() -> None:
    assert MEMBER not in document_of(FULL_JOB)
    assert not hasattr(a_worker(), MEMBER)
