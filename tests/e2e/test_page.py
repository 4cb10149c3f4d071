"""The page, in a browser, on the real system."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from selenium.webdriver import Chrome

from tests.e2e.browser import Page, open_browser
from tests.e2e.conftest import Darkroom

SAMPLES = Path(__file__).parents[2] / "models" / "digits" / "samples"


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(chrome: Chrome, darkroom: Darkroom) -> Page:
    page = Page(chrome, darkroom.url)
    page.open()
    return page


def test_an_image_handed_in_through_the_page_shows_its_label(page: Page) -> None:
    page.hand_in(SAMPLES / "7.png")

    [ticket] = page.tickets("done")

    assert ticket.headline == "7.png: 7"
    assert ticket.predictions[0].startswith("7")
    assert ticket.predictions[0].endswith("%")


def test_the_ticket_leads_to_the_job(page: Page) -> None:
    page.hand_in(SAMPLES / "7.png")
    [ticket] = page.tickets("done")

    job = requests.get(ticket.job_url, timeout=30).json()

    assert job["state"] == "done"
    assert job["result"]["predictions"][0]["label"] == "7"


def test_several_images_at_once_get_a_ticket_and_a_result_each(page: Page) -> None:
    page.hand_in(SAMPLES / "1.png", SAMPLES / "4.png", SAMPLES / "8.png")

    tickets = page.tickets("done", "done", "done")

    assert [ticket.headline for ticket in tickets] == ["8.png: 8", "4.png: 4", "1.png: 1"]
    assert len({ticket.job_url for ticket in tickets}) == 3


def test_a_text_file_shows_the_problem_in_words(page: Page, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not an image")
    page.hand_in(notes)

    [ticket] = page.tickets("failed")

    assert ticket.headline == "notes.txt: The image cannot be read"
    assert "It looks like plain text." in ticket.detail
    assert "JPEG, PNG" in ticket.detail


def test_a_job_that_waits_can_be_cancelled(page: Page, darkroom: Darkroom) -> None:
    with darkroom.paused("consumer"):
        page.hand_in(SAMPLES / "6.png")
        page.tickets("pending")
        page.cancel()
        [ticket] = page.tickets("cancelled")

    assert ticket.headline == "6.png: Cancelled"
    assert requests.get(ticket.job_url, timeout=30).json()["state"] == "cancelled"


def test_a_name_full_of_markup_is_shown_as_text(page: Page, tmp_path: Path) -> None:
    image = tmp_path / "<img src=x>.png"
    image.write_bytes((SAMPLES / "3.png").read_bytes())
    page.hand_in(image)

    [ticket] = page.tickets("done")

    assert ticket.name == "<img src=x>.png"


def test_dropped_and_pasted_images_join_those_chosen(page: Page) -> None:
    page.drop("dropped.png")
    page.paste("pasted.png")

    assert page.chosen() == ["dropped.png", "pasted.png"]


def test_an_image_is_handed_in_once_the_service_can_be_reached_again(page: Page) -> None:
    with page.without_network():
        page.hand_in(SAMPLES / "5.png")
        [waiting] = page.tickets("troubled")
    [ticket] = page.tickets("done")

    assert "The service cannot be reached" in waiting.detail
    assert ticket.headline == "5.png: 5"


def test_the_page_talks_to_its_own_service_alone_and_the_console_stays_empty(
    page: Page, darkroom: Darkroom
) -> None:
    page.complaints()
    page.asked_hosts()
    page.open()
    page.hand_in(SAMPLES / "2.png")
    page.tickets("done")

    assert page.asked_hosts() == {urlsplit(darkroom.url).netloc}
    assert page.complaints() == []


def test_a_result_fits_a_narrow_screen(page: Page) -> None:
    with page.on_a_phone(width_px=360):
        page.hand_in(SAMPLES / "9.png")
        page.tickets("done")

        assert page.needed_width_px() == 360
