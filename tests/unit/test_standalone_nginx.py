"""nginx's configuration: what is filled in, and that its own errors are problems, too."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from common.settings.api import ApiSettings
from standalone.nginx import StandaloneNginx, render

ROOT: Final = Path(__file__).parents[2]
PROBLEM_URN: Final = "urn:darkroom:problem:"
# Locations that answer with a problem; each is named after its status, except 439.
LOCATIONS: Final = (400, 404, 405, 408, 411, 413, 414, 429, 439, 431, 500, 501, 503, 505)


def status_of(location: int) -> int:
    """Return what clients get: some locations are nginx's own names for what happened.

    439 is the 429 of too many connections, 500 a disk that is full.
    """
    return {439: 429, 500: 503}.get(location, location)


pytestmark = pytest.mark.usefixtures("no_settings")


@dataclass(frozen=True)
class Refusal:
    """A location that answers with a problem."""

    status: int
    body: str

    @property
    def problem(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def limit_bytes() -> int:
    return ApiSettings(max_image_bytes=1_234_567).max_body_bytes


@pytest.fixture
def written(tmp_path: Path, limit_bytes: int) -> str:
    """Return the configuration that an nginx of ours would read."""
    StandaloneNginx(
        folder=tmp_path, port=8080, api_socket=Path("/run/api.sock"), max_body_bytes=limit_bytes
    ).prepare()
    return (tmp_path / "nginx.conf").read_text()


def refusals(conf: str) -> dict[int, Refusal]:
    found = re.findall(r"location = /_problem/(\d+) \{.* return (\d+) '(.*)'; \}", conf)
    return {
        int(name): Refusal(int(status), body.replace(r"\n", "\n")) for name, status, body in found
    }


def test_what_is_ours_is_filled_in_wherever_it_stands() -> None:
    values = {"DARKROOM_A": "1", "DARKROOM_B": "$2"}

    rendered = render("${DARKROOM_A} '${DARKROOM_A}' ${DARKROOM_B};", values)

    assert rendered == "1 '1' $2;"


@pytest.mark.parametrize(
    "text", ["$uri", "${uri}", "$darkroom_a", "$DARKROOM_A", "${DARKROOM_...}"]
)
def test_variables_of_nginx_stay(text: str) -> None:
    assert render(text, {"DARKROOM_A": "1"}) == text


def test_a_value_that_the_template_names_and_nobody_gives_is_an_error() -> None:
    with pytest.raises(KeyError, match="DARKROOM_TYPO"):
        render("listen ${DARKROOM_TYPO};", {"DARKROOM_LISTEN": "127.0.0.1:8080"})


def test_nothing_of_ours_is_left_open(written: str) -> None:
    assert "listen 127.0.0.1:8080;" in written
    assert "set $api unix:/run/api.sock;" in written
    assert not re.search(r"\$\{DARKROOM_\w+\}", written)


def test_without_further_values_nobody_is_limited_or_trusted(written: str) -> None:
    assert "rate=1000000r/s;" in written
    assert "set_real_ip_from unix:;" in written


def test_the_limit_and_the_trusted_proxy_are_filled_in(tmp_path: Path) -> None:
    StandaloneNginx(
        folder=tmp_path,
        port=8080,
        api_socket=Path("/run/api.sock"),
        max_body_bytes=1,
        rate_limit=7,
        connection_limit=9,
        trusted_proxy="10.0.0.0/8",
    ).prepare()

    written = (tmp_path / "nginx.conf").read_text()

    assert "rate=7r/s;" in written
    assert "burst=7 " in written
    assert "limit_conn connections 9;" in written
    assert "set_real_ip_from 10.0.0.0/8;" in written


def test_only_the_owner_reads_the_configuration(tmp_path: Path, written: str) -> None:
    assert written
    assert (tmp_path / "nginx.conf").stat().st_mode & 0o777 == 0o600


def test_bodies_have_one_limit_that_of_the_settings(written: str, limit_bytes: int) -> None:
    limits = re.findall(r"^\s*client_max_body_size (\S+);", written, flags=re.MULTILINE)

    assert limits == [str(limit_bytes)]


def test_the_refusal_of_a_body_tells_the_limit(written: str, limit_bytes: int) -> None:
    problem = refusals(written)[413].problem

    assert problem["limit_bytes"] == limit_bytes
    assert f" {limit_bytes} bytes" in problem["detail"]


def test_every_error_page_leads_to_the_problem_of_its_status(written: str) -> None:
    pages = re.findall(r"error_page ([\d ]+?)\s*(?:=(\d+))?\s+/_problem/(\d+);", written)

    assert written.count("error_page ") == len(pages)
    statuses = [status_of(location) for location in LOCATIONS]
    assert [int(changed or codes) for codes, changed, _ in pages] == statuses
    assert [int(target) for _, _, target in pages] == list(LOCATIONS)
    assert tuple(refusals(written)) == LOCATIONS


@pytest.mark.parametrize("location", LOCATIONS)
def test_what_nginx_itself_refuses_is_a_problem_as_those_of_the_api_are(
    written: str, location: int
) -> None:
    refusal = refusals(written)[location]

    assert refusal.status == status_of(location)
    assert refusal.body.endswith("}\n")
    assert "$" not in refusal.body
    assert refusal.problem["status"] == status_of(location)
    assert refusal.problem["title"]
    assert refusal.problem["detail"]


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_types_of_nginx_s_problems_are_in_the_list_of_problems(
    written: str, location: int
) -> None:
    listed = re.findall(r"`([a-z-]+)`", (ROOT / "docs" / "problems.md").read_text())

    assert refusals(written)[location].problem["type"] in {PROBLEM_URN + name for name in listed}


def test_the_list_of_problems_has_the_status_that_nginx_answers_with(written: str) -> None:
    rows = re.findall(
        r"^\| (`.+?`) \| ([\d, ]+) \|", (ROOT / "docs" / "problems.md").read_text(), re.MULTILINE
    )
    listed = {
        PROBLEM_URN + name: int(status)
        for names, statuses in rows
        for name, status in zip(re.findall("`(.+?)`", names), statuses.split(","), strict=True)
    }

    answered = {one.problem["type"]: one.status for one in refusals(written).values()}

    assert {name: listed.get(name, status) for name, status in answered.items()} == answered
