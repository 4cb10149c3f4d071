"""``./start.sh bench``: a small run of it, by the command that users have."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.conftest import ROOT, ports_of_the_machine

_LIMIT_S: Final = 300
_SMALL: Final = ("--quick", "--model", "digits", "--runtime", "onnx", "--engines", "1")

pytestmark = pytest.mark.timeout(_LIMIT_S)


def test_a_small_run_measures_the_service_and_writes_what_it_found(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "service", *_SMALL]
    ports_before = ports_of_the_machine()

    ended = subprocess.run(  # noqa: S603 (our own command)
        [*command, "--jobs", "32", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )

    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"bench.json", "bench.md"}
    report = json.loads((tmp_path / "bench.json").read_text())
    tables = {one["head"][-1]: one for one in report["parts"][0]["tables"]}
    assert _is_plausible(tables)
    assert "| target | measured | met? |" in ended.stdout
    assert ports_of_the_machine() == ports_before


def _is_plausible(tables: dict[str, Any]) -> bool:
    _, (_, engines, [images_per_second], *_, gets_per_job) = tables["GETs a job"]["rows"]
    roles = {"nginx", "api", "rabbitmq", "consumer", "engine", "courier", "store"}
    return (
        images_per_second > 0
        and engines == 1
        and gets_per_job >= 1
        and {role for role, *_ in tables["the largest"]["rows"]} == roles
    )
