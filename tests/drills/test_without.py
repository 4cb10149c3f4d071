"""Drills on a system that misses a guarantee: at least one must notice."""

from collections.abc import Callable

import pytest

from tests.drills.cases import Case, cases
from tests.drills.drill import DrillResult


def test_a_missing_guarantee_is_noticed(
    guarantee: str, pytestconfig: pytest.Config, result_of: Callable[[Case], DrillResult]
) -> None:
    results = [result_of(case) for case in cases(pytestconfig) if case.without == guarantee]

    assert any(result.is_red for result in results)
