"""What the soak counts as growth, and what it does not."""

from collections.abc import Callable

import pytest

from testbed.gauge import Line, Sample, more

_SECONDS = 90
_IMAGE_BYTES = 352_000
_MEGABYTE = 1e6


def _line(resident: Callable[[int], float]) -> Line:
    samples = [
        Sample(at_s=1.0 * second, resident_bytes=int(8e7 + resident(second)), threads=1, files=1)
        for second in range(_SECONDS)
    ]
    return Line("api worker 1", samples)


def _an_image_every_eight_seconds(second: int) -> float:
    return second // 8 * _IMAGE_BYTES


@pytest.mark.parametrize(
    "resident",
    [
        pytest.param(lambda second: second * 4e4, id="a line"),
        pytest.param(_an_image_every_eight_seconds, id="steps"),
        pytest.param(lambda second: second * 6e4 + 3e6 * (second % 10 > 5), id="a line and waves"),
    ],
)
def test_a_leak_grows(resident: Callable[[int], float]) -> None:
    assert _line(resident).bytes_per_minute() > 1.5 * _MEGABYTE


@pytest.mark.parametrize(
    "resident",
    [
        pytest.param(lambda _second: 0.0, id="nothing"),
        pytest.param(lambda second: 12e6 * (second > 50), id="one block more"),
        # It rises within each of the five parts, and falls between them.
        pytest.param(lambda second: 5e5 * (second % 18 > 9), id="blocks taken and returned"),
    ],
)
def test_an_allocator_that_settles_does_not_grow(resident: Callable[[int], float]) -> None:
    assert _line(resident).bytes_per_minute() < 0.1 * _MEGABYTE


def test_a_moment_between_two_engines_is_no_growth_afterwards() -> None:
    counts = [10] * _SECONDS
    counts[7] = 9

    assert more(counts) == 0


def test_a_thread_that_stays_is_growth_whatever_comes_and_goes() -> None:
    counts = [10 + (second > 40) + 3 * (second % 7 == 0) for second in range(_SECONDS)]

    assert more(counts) == 1
