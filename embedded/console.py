"""Lines for the person at the terminal."""

import sys


def say(line: str) -> None:
    """Print *line* at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
