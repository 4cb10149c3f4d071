"""What a second start prints while the system runs with other settings."""

from pathlib import Path

import pytest

from standalone.remembered import differences, keep_settings
from standalone.settings import StandaloneSettings

pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_same_settings_do_not_differ() -> None:
    keep_settings(StandaloneSettings(models=("digits", "resnet18")))

    assert differences(StandaloneSettings(models=("digits", "resnet18"))) == []


def test_other_settings_are_named_with_both_values() -> None:
    keep_settings(StandaloneSettings(models=("digits", "resnet18"), port=9000))

    assert differences(StandaloneSettings(port=9000, rate_limit=5)) == [
        "DARKROOM_MODELS is digits,resnet18, not photos,digits",
        "DARKROOM_RATE_LIMIT is 1000, not 5",
    ]


def test_a_secret_is_compared_and_not_shown(state_dir: Path) -> None:
    keep_settings(StandaloneSettings.model_validate({"mongo_url": "mongodb://u:first@host"}))

    [line] = differences(
        StandaloneSettings.model_validate({"mongo_url": "mongodb://u:second@host"})
    )

    assert line == "DARKROOM_MONGO_URL differs"
    assert "first" not in (state_dir / "run" / "settings.json").read_text()


def test_settings_that_were_kept_by_another_version_do_not_differ() -> None:
    Path("run").mkdir()
    Path("run/settings.json").write_text('{"of_a_later_version": "1", "port": "8080"}')

    assert differences(StandaloneSettings()) == []


def test_where_nothing_was_kept_nothing_differs() -> None:
    assert differences(StandaloneSettings()) == []
