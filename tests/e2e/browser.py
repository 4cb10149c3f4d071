"""The page in a real browser, as a user sees and uses it."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

_PATIENCE_S = 90
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # Chromium's own sandbox refuses root, and the page is ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_READ_TICKETS = """
return [...document.querySelectorAll(".ticket")].map((ticket) => {
  const text = (selector) => ticket.querySelector(selector).innerText;
  return {
    name: text("h3"),
    state: ticket.dataset.state,
    headline: ticket.querySelector(".headline").textContent,
    detail: text(".detail"),
    job_url: ticket.querySelector(".stub a").href,
    predictions: [...ticket.querySelectorAll(".predictions li")].map((item) => item.innerText),
  };
});
"""

_READ_SAMPLES = """
const images = [...document.querySelectorAll("#samples:not([hidden]) img")];
const areLoaded = images.every((image) => image.complete && image.naturalWidth > 0);
return areLoaded ? images.map((image) => new URL(image.src).pathname) : [];
"""

# The events of a dropped or pasted file, which no driver can make.
_BRING = """
const [kind, name] = arguments;
const files = new DataTransfer();
files.items.add(new File(["bytes"], name, { type: "image/png" }));
const carried = { drop: { dataTransfer: files }, paste: { clipboardData: files } }[kind];
const Kind = { drop: DragEvent, paste: ClipboardEvent }[kind];
document.body.dispatchEvent(
  new Kind(kind, { ...carried, bubbles: true, cancelable: true }),
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What the page shows about one image."""

    name: str
    state: str
    headline: str  # with the name in front, as it is read aloud
    detail: str
    job_url: str
    predictions: Sequence[str]


class Page:
    """The page, as its users would describe it."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self._driver = driver
        self._url = url

    def open(self) -> None:
        """Reload the page, and wait until it says that the service is ready."""
        self._driver.get(self._url)
        self._wait_until(lambda: self._text("readiness") == "Ready", "the service to be ready")

    def hand_in(self, *images: Path) -> None:
        field = self._driver.find_element(By.ID, "image")
        field.send_keys("\n".join(map(str, images)))
        self._driver.find_element(By.ID, "upload").click()

    def samples(self) -> Sequence[str]:
        """Wait until samples are offered, and return the paths of their images."""
        paths: list[str] = []

        def are_shown() -> bool:
            paths[:] = self._run(_READ_SAMPLES)
            return bool(paths)

        self._wait_until(are_shown, "samples that are loaded and visible")
        return paths

    def hand_in_sample(self, name: str) -> None:
        self._driver.find_element(By.CSS_SELECTOR, f'.sample[aria-label="Upload {name}"]').click()

    def choose_model(self, name: str) -> None:
        Select(self._driver.find_element(By.ID, "model")).select_by_value(name)

    def cancel(self) -> None:
        """Cancel the newest ticket."""
        self._driver.find_element(By.CSS_SELECTOR, ".ticket .cancel").click()

    def drop(self, name: str) -> None:
        self._run(_BRING, "drop", name)

    def paste(self, name: str) -> None:
        self._run(_BRING, "paste", name)

    def chosen(self) -> Sequence[str]:
        return self._text("chosen").splitlines()

    def tickets(self, *states: str) -> Sequence[Ticket]:
        """Wait until the tickets, the newest first, are in these states."""
        seen: list[Ticket] = []

        def are_there() -> bool:
            seen[:] = [Ticket(**ticket) for ticket in self._run(_READ_TICKETS)]
            return [ticket.state for ticket in seen] == list(states)

        self._wait_until(are_there, f"tickets in the states {states}")
        return seen

    @contextmanager
    def on_a_phone(self, *, width_px: int) -> Iterator[None]:
        """Show the page on a narrow screen until the end of the block."""
        screen = {"width": width_px, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        self._devtools("Emulation.setDeviceMetricsOverride", screen)
        try:
            yield
        finally:
            self._devtools("Emulation.clearDeviceMetricsOverride", {})

    def needed_width_px(self) -> int:
        return int(self._run("return document.documentElement.scrollWidth"))

    @contextmanager
    def without_network(self) -> Iterator[None]:
        """Take the browser offline until the end of the block."""
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._devtools("Network.enable", {})
        self._devtools("Network.emulateNetworkConditions", {"offline": True, **speed})
        try:
            yield
        finally:
            self._devtools("Network.emulateNetworkConditions", {"offline": False, **speed})

    def complaints(self) -> Sequence[str]:
        """Return the console's messages since the last call, violated policies included."""
        return [entry["message"] for entry in self._log("browser")]

    def asked_hosts(self) -> set[str]:
        """Return the hosts that the page has contacted since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        urls = [
            urlsplit(event["params"]["request"]["url"])
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return {url.netloc for url in urls if url.scheme in {"http", "https"}}

    def _text(self, element_id: str) -> str:
        return self._driver.find_element(By.ID, element_id).text

    def _run(self, script: str, *arguments: str) -> Any:
        return self._driver.execute_script(script, *arguments)

    def _devtools(self, command: str, parameters: Mapping[str, Any]) -> None:
        self._driver.execute_cdp_cmd(command, dict(parameters))

    def _log(self, kind: str) -> Any:
        return self._driver.get_log(kind)  # type: ignore[no-untyped-call] # of selenium

    def _wait_until(self, condition: Callable[[], bool], meaning: str) -> None:
        WebDriverWait(self._driver, _PATIENCE_S, poll_frequency=0.05).until(
            lambda _: condition(), f"waited in vain for {meaning}"
        )


@contextmanager
def open_browser(profile: Path) -> Iterator[Chrome]:
    """Start a browser with an empty *profile*; if there is none, skip, or fail in CI."""
    driver, browser = shutil.which("chromedriver"), _first_installed(_BROWSERS)
    if driver is None or browser is None:
        missing = pytest.fail if "CI" in os.environ else pytest.skip
        missing("no Chromium with its chromedriver is installed")
    options = ChromeOptions()
    options.binary_location = browser
    for option in (*_OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With a path of its own, selenium looks for no driver to download.
    chrome = Chrome(options=options, service=Service(executable_path=driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def _first_installed(programs: Sequence[str]) -> str | None:
    return next(filter(None, map(shutil.which, programs)), None)
