"""A progress bar."""

import sys
from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(what: str, things: Collection[T]) -> Iterator[T]:
    """Go through *things*, with a bar on standard error if that is a terminal."""
    return progress_of(what, things, len(things))


def progress_of(what: str, things: Iterable[T], total: int) -> Iterator[T]:
    """Go through *things*, of which there are *total* or fewer."""
    yield from tqdm(
        things, desc=what, total=total, file=sys.stderr, leave=False, disable=None, unit=""
    )
