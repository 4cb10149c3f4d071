"""Which settings there are, the message for a bad value, and the table in the README."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from common.settings.api import ApiSettings
from common.settings.base import PREFIX, RoleSettings
from common.settings.consumer import ConsumerSettings
from common.settings.courier import CourierSettings
from common.settings.loading import load_or_exit
from standalone.settings import StandaloneSettings

ROOT: Final = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Start a role with one variable set; return the last line that it prints."""

    def start(name: str, value: str) -> str:
        monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            load_or_exit(StandaloneSettings)
        assert ended.value.code == 2
        return capsys.readouterr().err

    return start


def test_without_any_variable_there_are_defaults_for_everything() -> None:
    settings = load_or_exit(StandaloneSettings)

    assert settings.models == ("photos", "digits")
    assert settings.model == "photos"
    assert settings.max_image_bytes == 10 * 1024 * 1024
    assert settings.max_image_pixels == 50_000_000


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_RETENTION_S", "120")
    monkeypatch.setenv("DARKROOM_STATE_DIR", "/var/lib/darkroom")

    assert load_or_exit(CourierSettings).retention_s == 120
    assert load_or_exit(ConsumerSettings).weights_dir == Path("/var/lib/darkroom/weights")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("digits", ("digits",)),
        ("digits,resnet18", ("digits", "resnet18")),
        (" b , a ,, b,", ("b", "a")),
        ("My.model_v2-x", ("My.model_v2-x",)),
    ],
)
def test_models_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DARKROOM_MODELS", text)

    assert load_or_exit(ApiSettings).models == names
    assert load_or_exit(ConsumerSettings).models == names


def test_the_model_of_a_job_that_names_none_is_the_default_or_the_first() -> None:
    assert ApiSettings(models=("b", "a")).model == "b"
    assert ApiSettings(models=("b", "a"), default_model="a").model == "a"


@pytest.mark.parametrize("size", [1024, 1025, 10 * 1024**2])
def test_the_largest_image_fits_into_the_largest_body_as_base64(size: int) -> None:
    settings = ApiSettings(max_image_bytes=size)

    assert settings.max_body_bytes >= len('{"base64": ""}') + (size + 2) // 3 * 4 + 4096


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DARKROOM_RETENTION_S", "soon", "a whole number from 60 to 315360000"),
        ("DARKROOM_RETENTION_S", "59", "a whole number from 60 to 315360000"),
        ("DARKROOM_RETENTION_S", "", "a whole number from 60 to 315360000"),
        ("DARKROOM_GRACE_S", "0", "a number above 0 and at most 3600"),
        ("DARKROOM_GRACE_S", "nan", "a number above 0 and at most 3600"),
        ("DARKROOM_LOG_FORMAT", "xml", "one of console, json"),
        ("DARKROOM_MONGO_DATABASE", "a.b", "text that matches ^[A-Za-z0-9_-]{1,63}$"),
        ("DARKROOM_DEFAULT_MODEL", "lenet", "one of DARKROOM_MODELS (photos, digits)"),
        ("DARKROOM_STATE_DIR", "", "the path of a folder"),
        ("DARKROOM_MODELS_DIR", "", "the path of a folder"),
        ("DARKROOM_PORT", "80", "a whole number from 1024 to 65000"),
        ("DARKROOM_MONGO_PORT", "8080", "a port that no other DARKROOM_..._PORT uses"),
        ("DARKROOM_CONSUMERS", "0", "a whole number from 1 to 64"),
    ],
)
def test_a_bad_value_gives_one_line_that_says_what_is_expected(
    refusal: Any, name: str, value: str, expected: str
) -> None:
    line = refusal(name, value)

    shown = value if name.endswith("_PORT") and int(value) >= 1024 else repr(value)
    assert line == f"darkroom: {name}={shown} is invalid: expected {expected}\n"


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_no_models_at_all_gives_a_line_that_says_what_is_expected(refusal: Any, value: str) -> None:
    line = refusal("DARKROOM_MODELS", value)

    assert line.startswith("darkroom: DARKROOM_MODELS='' is invalid: expected comma-separated")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    "name", ["../secrets", "a/b", "a\\b", "/etc", ".", "..", ".hidden", "-x", "a b", "ä", "a\nb"]
)
def test_the_name_of_a_model_cannot_lead_out_of_the_folder_of_models(
    refusal: Any, name: str
) -> None:
    line = refusal("DARKROOM_MODELS", f"digits,{name}")

    assert line.startswith(f"darkroom: DARKROOM_MODELS={name!r} is invalid: expected ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_AMQP_URL", ""),
        ("DARKROOM_AMQP_URL", "127.0.0.1:5672"),
        ("DARKROOM_AMQP_URL", "http://user:secret@host"),
        ("DARKROOM_AMQP_URL", "amqp://user:secret@host:port"),
        ("DARKROOM_AMQP_URL", "amqp://user:sec#ret@host"),
        ("DARKROOM_AMQP_URL", "amqp://user:sec@ret@host"),
        ("DARKROOM_MONGO_URL", ""),
        ("DARKROOM_MONGO_URL", "localhost:27017"),
        ("DARKROOM_MONGO_URL", "http://user:secret@host"),
        ("DARKROOM_MONGO_URL", "mongodb://"),
        ("DARKROOM_MONGO_URL", "mongodb://user:secret@host:port"),
        ("DARKROOM_MONGO_URL", "mongodb://user:sec@ret@host"),
    ],
)
def test_a_malformed_url_gives_a_line_that_hides_it(refusal: Any, name: str, value: str) -> None:
    line = refusal(name, value)

    scheme = "amqp[s]://" if name == "DARKROOM_AMQP_URL" else "mongodb[+srv]://"
    assert line.startswith(f"darkroom: {name}=(hidden) is invalid: expected {scheme}")
    assert "sec" not in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amqp_url", "amqp://guest:guest@127.0.0.1:5672/%2F"),
        ("amqp_url", "amqps://user:p%40ss@rabbit.example"),
        ("mongo_url", "mongodb://127.0.0.1"),
        ("mongo_url", "mongodb+srv://user:p%40ss@cluster.example/?retryWrites=true"),
        ("mongo_url", "mongodb://a:27017,b:27017,c:27017/darkroom?replicaSet=rs0"),
        ("mongo_url", "mongodb://[::1]:27017"),
        ("mongo_url", "mongodb://%2Ftmp%2Fmongodb-27017.sock"),
    ],
)
def test_urls_reach_the_drivers_as_they_were_given(field: str, value: str) -> None:
    settings = RoleSettings.model_validate({field: value})

    given: SecretStr = getattr(settings, field)
    assert given.get_secret_value() == value


def test_passwords_are_not_shown() -> None:
    settings = RoleSettings(
        amqp_url=SecretStr("amqp://user:secret@host"),
        mongo_url=SecretStr("mongodb://user:secret@host"),
    )

    assert "secret" not in f"{settings} {settings!r} {settings.model_dump()}"


def test_settings_cannot_be_changed_later() -> None:
    settings = CourierSettings()

    with pytest.raises(ValidationError):
        settings.retention_s = 61  # type: ignore[misc] # which is the point


def test_a_role_with_a_bad_value_ends_with_one_line_and_status_2() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "courier"],
        env={"DARKROOM_MAX_ATTEMPTS": "many"},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        "darkroom: DARKROOM_MAX_ATTEMPTS='many' is invalid: expected a whole number from 1 to 100\n"
    )


@pytest.mark.parametrize(
    ("name", "readers"),
    [
        ("GRACE_S", {ApiSettings, ConsumerSettings, CourierSettings}),
        ("MODELS", {ApiSettings, ConsumerSettings}),
        ("BATCH_SIZE", {ConsumerSettings, CourierSettings}),
        ("MAX_WAIT_S", {ApiSettings}),
        ("ENGINES", {ConsumerSettings}),
        ("RETENTION_S", {CourierSettings}),
    ],
)
@pytest.mark.parametrize("role", [ApiSettings, ConsumerSettings, CourierSettings])
def test_a_bad_value_stops_no_role_that_does_not_read_it(
    monkeypatch: pytest.MonkeyPatch,
    role: type[RoleSettings],
    name: str,
    readers: set[type[RoleSettings]],
) -> None:
    monkeypatch.setenv(f"DARKROOM_{name}", "/")

    if role in readers:
        with pytest.raises(SystemExit):
            load_or_exit(role)
    else:
        load_or_exit(role)


@pytest.mark.parametrize(
    ("cores", "given", "expected"),
    [
        (1, {}, (1, 1, 2)),
        (4, {}, (1, 4, 2)),
        (4, {"ENGINES": "2"}, (2, 2, 4)),
        (4, {"ENGINES": "3"}, (3, 1, 6)),
        (4, {"ENGINES": "9", "ENGINE_THREADS": "7"}, (4, 1, 8)),
        (4, {"ENGINE_THREADS": "2"}, (1, 2, 2)),
        (4, {"BATCH_SIZE": "8"}, (1, 4, 16)),
        (2, {"CORES": "6", "ENGINES": "2"}, (2, 3, 4)),
    ],
)
def test_there_are_never_more_threads_than_cores(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    given: dict[str, str],
    expected: tuple[int, int, int],
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    for name, value in given.items():
        monkeypatch.setenv(f"DARKROOM_{name}", value)

    settings = load_or_exit(ConsumerSettings)

    assert (
        settings.engine_count,
        settings.threads_per_engine,
        settings.prefetch_count,
    ) == expected


# The README

ROLES: Final[Mapping[str, type[RoleSettings]]] = {
    "api": ApiSettings,
    "consumer": ConsumerSettings,
    "courier": CourierSettings,
}
# In the order of the table.
READERS: Final = (
    *("all", "api, consumer", "api, nginx", "api", "consumer", "consumer, courier", "courier"),
    *("`./start.sh`", "nginx"),
)


def table() -> list[str]:
    """Return the rows of README.md's table; ``python -m tests.unit.test_settings`` prints them."""
    fields = StandaloneSettings.model_fields
    names = sorted(fields, key=lambda name: READERS.index(_readers(name)))
    rows = [_row(name, fields[name]) for name in names]
    return ["| Variable | Default | Read by | Meaning |", "| --- | --- | --- | --- |", *rows]


def _row(name: str, field: FieldInfo) -> str:
    # A computed default is described in words at the end of the description.
    meaning, _, in_words = str(field.description).partition("; unset: ")
    default = in_words or _shown(field.default)
    return f"| `{PREFIX}{name.upper()}` | {default} | {_readers(name)} | {meaning} |"


def _readers(name: str) -> str:
    readers = [role for role, kind in ROLES.items() if name in kind.model_fields]
    if len(readers) == len(ROLES):
        return "all"
    if re.search(rf"\b{PREFIX}{name.upper()}\b", (ROOT / "nginx" / "start").read_text()):
        readers.append("nginx")
    return ", ".join(readers) or "`./start.sh`"


def _shown(default: object) -> str:
    assert default is not PydanticUndefined
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, bool):
        default = str(default).lower()
    if isinstance(default, tuple):
        default = ",".join(default)
    return f"`{default}`" if default != "" else '`""`'


def test_the_table_of_settings_in_the_readme_is_that_of_the_code() -> None:
    readme = (ROOT / "README.md").read_text()

    section = readme.partition("\n## Settings\n")[2].partition("\n## ")[0]

    assert [line for line in section.splitlines() if line.startswith("|")] == table()


def test_every_setting_says_what_it_means() -> None:
    fields = StandaloneSettings.model_fields

    assert [name for name, field in fields.items() if not field.description] == []


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
