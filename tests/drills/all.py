"""Every drill, in the order in which they are listed."""

from typing import Final

from tests.drills import (
    deep,
    disks,
    engines,
    lanes,
    network,
    processes,
    queue,
    restarts,
    soak,
    stuck,
    upgrade,
)
from tests.drills.drill import Drill

_MODULES: Final = (
    processes, engines, stuck, lanes, network, restarts, queue, disks, deep, upgrade, soak
)  # fmt: skip

DRILLS: Final[dict[str, Drill]] = {
    drill.name: drill for module in _MODULES for drill in module.DRILLS
}
