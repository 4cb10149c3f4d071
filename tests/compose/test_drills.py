"""The drills that matter most, against the system in containers."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest

from tests.compose.drills import UPHEAVAL
from tests.compose.engine import Engine
from tests.compose.system import ComposeSystem
from tests.drills.all import DRILLS
from tests.drills.drill import DrillResult, run_drill

NAMES: Final = ("consumer-kill", "broker-restart", "store-restart", "rolling-restart")
_AT_ONCE: Final = 3
_ALL: Final = [UPHEAVAL, *(DRILLS[name] for name in NAMES)]

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def outcomes(
    engine: Engine, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, DrillResult]:
    assert images
    folder = tmp_path_factory.mktemp("drills")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = {
            drill.name: pool.submit(
                run_drill,
                drill,
                partial(ComposeSystem, engine, folder / drill.name),
                seed=1,
                short=True,
            )
            for drill in _ALL
        }
    return {name: drill.result() for name, drill in running.items()}


@pytest.mark.parametrize("name", [drill.name for drill in _ALL])
def test_no_accepted_job_is_lost_stuck_wrong_or_done_twice(
    name: str, outcomes: Mapping[str, DrillResult]
) -> None:
    assert not outcomes[name].is_red, json.dumps(outcomes[name].as_json(), indent=2)
