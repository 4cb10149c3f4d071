"""The first run: no settings, the command that the greeting prints, the right label."""

import json
import shlex
import subprocess
from collections.abc import Iterator

import pytest
import requests
from selenium.webdriver import Chrome

from testbed.client import Client
from tests.e2e.browser import Page, open_browser
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


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_a_click_on_a_photograph_of_the_page_shows_its_label(
    chrome: Chrome, first_run: Darkroom
) -> None:
    page = Page(chrome, first_run.url)
    page.open()
    samples = page.samples()

    page.hand_in_sample("coffee.jpg")
    [ticket] = page.tickets("done")

    assert samples == [f"/samples/photos/{name}.jpg" for name in ("camera", "cat", "coffee")]
    assert ticket.headline == "coffee.jpg: espresso"
    assert page.complaints() == []


def test_the_page_offers_the_samples_of_the_chosen_model(
    chrome: Chrome, first_run: Darkroom
) -> None:
    page = Page(chrome, first_run.url)
    page.open()
    page.samples()

    page.choose_model("digits")
    samples = page.samples()
    page.hand_in_sample("7.png")
    [ticket] = page.tickets("done")

    assert samples == [f"/samples/digits/{digit}.png" for digit in range(10)]
    assert ticket.headline == "7.png: 7"
