"""Every drill once, by default in its short form."""

import json
from collections.abc import Callable

import pytest

from tests.drills.cases import Case
from tests.drills.drill import DrillResult


def test_no_accepted_job_is_lost_stuck_wrong_or_done_twice(
    case: Case, result_of: Callable[[Case], DrillResult]
) -> None:
    result = result_of(case)

    if result.skipped:
        pytest.skip(result.skipped)
    assert result.verdict == "green", json.dumps(result.as_json(), indent=2)
