"""Lines for the person at the terminal."""

import sys


def say(line: str) -> None:
    """Print *line* and flush."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
