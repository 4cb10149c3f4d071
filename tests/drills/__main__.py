"""``python -m tests.drills``, which ``./start.sh drill`` calls."""

import sys

from tests.drills.cli import main

if __name__ == "__main__":
    sys.exit(main())
