"""Every drill once, by the command that users have, several side by side."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.drills.all import DRILLS

_NAMES = list(DRILLS)
_AT_ONCE = "3"
_LIMIT_S = 3000

pytestmark = pytest.mark.timeout(_LIMIT_S)


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("drills") / "outcomes.json"
    command = [sys.executable, "-m", "tests.drills", *_NAMES, "--short", "--at-once", _AT_ONCE]
    subprocess.run([*command, "--json", str(file)], check=False, timeout=_LIMIT_S)  # noqa: S603
    return {outcome["drill"]: outcome for outcome in json.loads(Path(file).read_text())}


@pytest.mark.parametrize("name", _NAMES)
def test_no_accepted_job_is_lost_stuck_wrong_or_done_twice(
    name: str, outcomes: dict[str, dict[str, Any]]
) -> None:
    outcome = outcomes[name]

    if outcome["skipped"]:
        pytest.skip(outcome["skipped"])
    assert outcome["verdict"] == "green", json.dumps(outcome, indent=2)
