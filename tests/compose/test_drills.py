"""The drills that matter most, against the system in containers."""

import json
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.compose.drills import UPHEAVAL
from tests.compose.engine import Engine
from tests.compose.system import ComposeSystem
from tests.drills.all import DRILLS
from tests.drills.drill import Drill, run_drill

# What these do one by one, upheaval does to every container.
_SLOW: Final = ("consumer-kill", "broker-restart", "store-restart", "rolling-restart")
_DRILLS: Final = [UPHEAVAL, *(DRILLS[name] for name in _SLOW)]

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    "drill",
    [
        pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.name in _SLOW else [])
        for one in _DRILLS
    ],
)
def test_no_accepted_job_is_lost_stuck_wrong_or_done_twice(
    drill: Drill, engine: Engine, tmp_path: Path
) -> None:
    make_system = partial(ComposeSystem, engine, tmp_path / "system")

    result = run_drill(drill, make_system, seed=1, short=True)

    assert not result.is_red, json.dumps(result.as_json(), indent=2)
