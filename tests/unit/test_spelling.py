"""Misspelt settings and clipped values are logged at the start."""

import re
from pathlib import Path

import pytest

from common.settings.api import ApiSettings
from common.settings.base import PREFIX, RoleSettings
from common.settings.consumer import ConsumerSettings
from common.settings.courier import CourierSettings
from common.settings.loading import KNOWN, load_or_exit
from common.spelling import unknown_settings
from standalone.settings import StandaloneSettings

pytestmark = pytest.mark.usefixtures("no_settings")

ROOT = Path(__file__).parents[2]
READERS = (
    *("start.sh", "uwsgi.ini", "Dockerfile", "docker-compose.yml", "docker-compose.tls.yml"),
    *("nginx/start", "nginx/nginx.conf.template", "nginx/tls.conf", "nginx/management.conf"),
    "standalone/launch.py",
)
# nginx/start computes the first by itself, and nginx passes the second to the API.
WORKED_OUT = {"DARKROOM_MAX_BODY_BYTES", "DARKROOM_SENT_AT"}


def unknown(*names: str) -> list[str]:
    environ = dict.fromkeys(names, "1")
    return unknown_settings(environ, prefix=PREFIX, fields=KNOWN)


def test_a_misspelt_setting_is_told_with_the_one_that_was_meant() -> None:
    assert unknown("DARKROOM_MODLES") == [
        "DARKROOM_MODLES is not a setting and has no effect; did you mean DARKROOM_MODELS?"
    ]


def test_a_name_like_no_other_is_told_without_a_guess() -> None:
    assert unknown("DARKROOM_XYZZY") == ["DARKROOM_XYZZY is not a setting and has no effect"]


def test_variables_of_others_are_nobody_s_business() -> None:
    assert unknown("PATH", "DARKROOMS", "DARKROOM_MODELS", "DARKROOM_TEST_MONGO_URL") == []


def test_every_setting_of_the_standalone_system_is_known_to_the_roles() -> None:
    assert unknown(*(PREFIX + name.upper() for name in StandaloneSettings.model_fields)) == []


@pytest.mark.parametrize("reader", READERS)
def test_every_variable_that_something_else_reads_is_known(reader: str) -> None:
    names = set(re.findall(r"DARKROOM_[A-Z_]*[A-Z]", (ROOT / reader).read_text())) - WORKED_OUT

    assert unknown(*names) == []


def test_a_start_tells_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_MODLES", "resnet18")

    load_or_exit(ApiSettings)

    assert capsys.readouterr().err.startswith("darkroom: DARKROOM_MODLES is not a setting")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ENGINES", "9", "DARKROOM_ENGINES=9 is too large: using 2"),
        ("ENGINE_THREADS", "9", "DARKROOM_ENGINE_THREADS=9 is too large: using 2"),
        ("GRACE_S", "10", "DARKROOM_MAX_WAIT_S=20 is too large: using 7"),
    ],
)
def test_a_start_tells_which_value_is_clipped(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv("DARKROOM_CORES", "2")
    monkeypatch.setenv(f"DARKROOM_{name}", value)

    load_or_exit(StandaloneSettings)

    assert words in capsys.readouterr().err


@pytest.mark.parametrize("role", [ApiSettings, ConsumerSettings, CourierSettings])
def test_a_role_takes_no_setting_of_another_role_for_a_misspelt_one(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    role: type[RoleSettings],
) -> None:
    for name in ("MAX_WAIT_S", "ENGINES", "RETENTION_S"):
        monkeypatch.setenv(f"DARKROOM_{name}", "1" if name != "RETENTION_S" else "60")

    load_or_exit(role)

    assert capsys.readouterr().err == ""


def test_defaults_are_not_clipped(capsys: pytest.CaptureFixture[str]) -> None:
    load_or_exit(StandaloneSettings)

    assert capsys.readouterr().err == ""
