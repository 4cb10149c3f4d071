"""Every drill once: by default in its short form, several side by side."""

import json
from collections.abc import Callable

import pytest

from tests.drills.cases import Case
from tests.drills.drill import DrillResult


def test_no_accepted_job_is_lost_stuck_wrong_or_done_twice(
    case: Case, outcome_of: Callable[[Case], DrillResult]
) -> None:
    outcome = outcome_of(case)

    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert outcome.verdict == "green", json.dumps(outcome.as_json(), indent=2)
