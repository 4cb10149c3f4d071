"""The first run as it is printed: no settings, the line of the greeting, the right label."""

import json
import shlex
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.e2e.client import Client
from tests.e2e.conftest import ROOT, Darkroom


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """A system with the models that are the default."""
    system = Darkroom(tmp_path_factory.mktemp("state"), DARKROOM_CONSUMERS="1")
    del system.environment["DARKROOM_MODELS"]
    system.start()
    yield system
    system.run("stop")


def test_the_photograph_of_the_printed_line_gets_its_right_label(first_run: Darkroom) -> None:
    printed = shlex.split(first_run.greeting_line("curl -F"))

    submitted = subprocess.run([*printed, "-s"], cwd=ROOT, capture_output=True, check=True)  # noqa: S603 (the line that a user would type)
    result = Client(first_run.url).wait_for(f"/jobs/{json.loads(submitted.stdout)['id']}")["result"]

    assert result["model"] == "photos"
    assert result["predictions"][0]["label"] == "espresso"
    assert result["predictions"][0]["probability"] > 0.9


def test_photographs_and_digits_are_served_by_onnxruntime(first_run: Darkroom) -> None:
    models = requests.get(first_run.url + "/models", timeout=30).json()["models"]

    assert [(one["name"], one["labels"], one["runtime"]) for one in models] == [
        ("photos", 1000, "onnx"),
        ("digits", 10, "onnx"),
    ]
