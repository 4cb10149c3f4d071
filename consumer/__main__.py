"""Start the consumer: ``python -m consumer``."""

import sys

if __name__ == "__main__":
    # Only in the parent: the spawned engine imports this module too, under another name.
    from common.stopping import hold_signals

    hold_signals()
    from consumer.main import main

    sys.exit(main())
