"""A start is complete when the system is ready, or lacks only disk space."""

from typing import Any

import pytest

from standalone.system import _lacks_only_storage

OK = {"store": "ok", "broker": "ok", "consumer": "ok"}
FULL = {"storage": "the disk of state has less than 512 MiB left"}


@pytest.mark.parametrize(
    ("answer", "is_over"),
    [
        ({"checks": OK | FULL}, True),
        ({"checks": OK}, False),
        ({"checks": OK | FULL | {"consumer": "no consumer is alive"}}, False),
        ({"detail": "nothing answers"}, False),
    ],
)
def test_only_a_want_of_space_does_not_hold_a_start_up(
    answer: dict[str, Any], is_over: bool
) -> None:
    assert _lacks_only_storage(answer) is is_over
