"""Build the images for the tests in containers, while start.sh does something else.

``python3 -m tests.compose.prepare`` needs none of those packages. It prints the process id of the
Docker engine if it has started one.
"""

import subprocess
import sys

from tests.compose.engine import TARGETS, NoEngineError, dockerd, find_engine, others_wait


def main() -> None:
    before = dockerd()
    try:
        with others_wait():
            engine = find_engine()
            for target in TARGETS:
                engine.build(target)
    except (NoEngineError, AssertionError, subprocess.TimeoutExpired) as exc:
        print(exc, file=sys.stderr)  # noqa: T201 (the tests report it, too)
    after = dockerd()
    if before is None and after is not None:
        print(after)  # noqa: T201 (what start.sh waits for)


if __name__ == "__main__":
    main()
