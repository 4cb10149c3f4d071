"""``python -m courier`` runs a courier."""

import sys

if __name__ == "__main__":
    from common.stopping import hold_signals

    hold_signals()
    from courier.main import main

    sys.exit(main())
