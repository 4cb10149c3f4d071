"""One run of one drill: as the options name it, and as its own process runs it."""

from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from standalone.rabbitmq import StandaloneRabbitMQ
from tests.drills.all import DRILLS
from tests.drills.drill import DrillResult, run_drill


class Case(NamedTuple):
    """A drill by its name, with a seed, and the guarantee that is taken away first."""

    drill: str
    seed: int
    without: str | None = None

    def __str__(self) -> str:
        return "-".join(str(part) for part in self if part is not None)

    @property
    def has_own_broker(self) -> bool:
        return DRILLS[self.drill].plan.has_own_broker

    def run(
        self, folder: Path, *, short: bool, node: StandaloneRabbitMQ | None = None
    ) -> DrillResult:
        """Run it on a system that writes to *folder*, and that uses the RabbitMQ *node*.

        Without one the system runs its own.
        """
        drill = DRILLS[self.drill]
        make_system = partial(drill.makes, folder, node=node)
        return run_drill(drill, make_system, seed=self.seed, short=short, without=self.without)


def cases(config: pytest.Config) -> list[Case]:
    """Return the runs that the options ask for: by default every drill once."""
    ask = config.getoption
    return [
        Case(*asked)
        for asked in product(ask("drill") or DRILLS, ask("seed"), ask("without") or [None])
    ]
