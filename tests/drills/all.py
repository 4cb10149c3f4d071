"""Every drill, in the order in which they are listed."""

from typing import Final

from tests.drills import processes
from tests.drills.drill import Drill

DRILLS: Final[dict[str, Drill]] = {drill.name: drill for drill in (*processes.DRILLS,)}
