"""What somebody who waits for the figures gets to read."""

import sys


def say(line: str) -> None:
    """Print *line* where it does not mix with results."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
