"""Drills on a system that misses a guarantee: at least one must notice."""

from collections.abc import Callable

import pytest

from tests.drills.cases import Case, cases
from tests.drills.drill import DrillResult


def test_a_missing_guarantee_is_noticed(
    guarantee: str, pytestconfig: pytest.Config, outcome_of: Callable[[Case], DrillResult]
) -> None:
    outcomes = [outcome_of(case) for case in cases(pytestconfig) if case.without == guarantee]

    assert any(outcome.is_red for outcome in outcomes)
