"""Steps that take turns, so that other load on the machine affects all of them alike."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

T = TypeVar("T")
Step = Callable[[], object]


def take_turns(
    steps: Mapping[str, Step], *, rounds: int, turn_s: float, finish: Step = lambda: None
) -> dict[str, list[float]]:
    """Time all steps in every round, repeated for *turn_s* and at least once; in milliseconds.

    *finish* waits for work that a step has begun and not ended.
    """
    # This warms up, too.
    repeats = {name: _repeats(step, turn_s, finish) for name, step in steps.items()}
    works = {name: partial(_turn_ms, step, repeats[name], finish) for name, step in steps.items()}
    return in_turns(works, rounds)


def _repeats(step: Step, turn_s: float, finish: Step) -> int:
    step()
    took_s = _turn_ms(step, 1, finish) / 1000
    return max(1, round(turn_s / took_s))


def _turn_ms(step: Step, repeats: int, finish: Step) -> float:
    finish()
    started_s = time.perf_counter()
    for _ in range(repeats):
        step()
    finish()
    return (time.perf_counter() - started_s) / repeats * 1000


def in_turns(works: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Call all works in every round, in alternating order; return their results."""
    given: dict[str, list[T]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works) if number % 2 else list(works)[::-1]:
            given[name].append(works[name]())
    return given
