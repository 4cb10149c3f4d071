"""What a running system reports about itself, to people and to programs."""

from dataclasses import replace
from pathlib import Path

import pytest

from standalone.addresses import Addresses
from standalone.facts import Facts
from standalone.status import greeting, status_document, status_text
from standalone.supervision import Process

MANAGEMENT = {"url": "http://127.0.0.1:9084/", "user": "darkroom", "password": "secret"}
ADDRESSES = Addresses(
    port=9080,
    management=MANAGEMENT,
    mongo_url="mongodb://darkroom:hidden@127.0.0.1",
    mongo_database="darkroom",
)
WITHOUT_RABBITMQ = replace(ADDRESSES, management=None)
MODELS = (
    {"name": "photos", "state": "ready", "default": True, "labels": 1000, "runtime": "onnx"},
    {"name": "resnet50", "state": "unavailable", "default": False, "reason": "no weights here"},
    {"name": "mine", "state": "loading", "default": False},
)
FACTS = Facts(obstacle="", models=MODELS, queue_depth=12, oldest_waiting_s=75.5, uptime_s=93_784.0)
PROCESSES = (
    Process("consumer-1", "RUNNING", 11),
    Process("consumer-2", "RUNNING", 12),
    Process("api", "RUNNING", 13),
    Process("nginx", "BACKOFF", 0),
)


def test_the_greeting_has_the_page_and_commands_that_can_be_copied() -> None:
    lines = greeting(ADDRESSES, FACTS).splitlines()

    assert "Darkroom is ready: http://127.0.0.1:9080/" in lines
    assert "  curl -F image=@models/photos/samples/coffee.jpg http://127.0.0.1:9080/jobs" in lines
    assert "  curl http://127.0.0.1:9080/jobs/ID" in lines


@pytest.mark.parametrize("name", ["photos", "digits"])
def test_the_image_in_the_greeting_is_there(name: str) -> None:
    facts = replace(FACTS, models=[{"name": name, "state": "ready", "default": True}])

    [sample] = [
        word[7:] for word in greeting(ADDRESSES, facts).split() if word.startswith("image=@")
    ]

    assert sample.startswith(f"models/{name}/")
    assert (Path(__file__).parents[2] / sample).is_file()


def test_the_greeting_says_how_to_log_in_to_a_rabbitmq_of_ours() -> None:
    assert (
        "RabbitMQ's management UI: http://127.0.0.1:9084/ (user darkroom, password secret)"
        in greeting(ADDRESSES, FACTS).splitlines()
    )


def test_the_greeting_is_silent_about_a_rabbitmq_of_somebody_else() -> None:
    assert "RabbitMQ" not in greeting(WITHOUT_RABBITMQ, FACTS)


def test_the_greeting_says_of_each_model_whether_it_is_served_and_why_not() -> None:
    lines = [" ".join(line.split()) for line in greeting(ADDRESSES, FACTS).splitlines()]

    assert "photos served, 1000 labels, onnx, the default model" in lines
    assert "resnet50 not served, unavailable: no weights here" in lines
    assert "mine not served, loading" in lines


def test_the_greeting_does_not_speak_of_models_that_nobody_asked_for() -> None:
    assert "resnet18" not in greeting(ADDRESSES, FACTS)


def test_the_greeting_offers_no_image_of_ours_to_a_model_of_somebody_else() -> None:
    others = replace(FACTS, models=[{"name": "mine", "state": "ready", "default": True}])

    assert "image=@PHOTO.jpg" in greeting(ADDRESSES, others)


def test_the_status_has_the_process_ids_of_each_role_and_what_waits() -> None:
    document = status_document(PROCESSES, supervisor=10, addresses=ADDRESSES, facts=FACTS)

    assert document == {
        "running": True,
        "ready": True,
        "url": "http://127.0.0.1:9080",
        "management": MANAGEMENT,
        "supervisor": 10,
        "roles": {"consumer": [11, 12], "api": [13]},
        "models": list(MODELS),
        "queue_depth": 12,
        "oldest_waiting_s": 75.5,
        "uptime_s": 93_784.0,
    }


def test_what_is_not_ready_says_so_to_programs_and_why_to_people() -> None:
    facts = replace(FACTS, obstacle="consumer: no consumer is alive")

    document = status_document(PROCESSES, supervisor=10, addresses=ADDRESSES, facts=facts)
    text = status_text(PROCESSES, addresses=ADDRESSES, facts=facts)

    assert document["ready"] is False
    assert "no: consumer: no consumer is alive" in text


def test_what_has_no_addresses_yet_is_not_ready() -> None:
    document = status_document((), supervisor=None, addresses=None, facts=Facts())

    assert (document["running"], document["ready"], document["url"]) == (True, False, None)
    assert "starting" in status_text((), addresses=None, facts=Facts())


def test_the_status_for_people_has_what_an_operator_asks_first() -> None:
    text = status_text(PROCESSES, addresses=ADDRESSES, facts=FACTS)
    lines = [line.split(maxsplit=2) for line in text.splitlines()]

    assert ["address", "http://127.0.0.1:9080/"] in lines
    assert ["ready", "yes"] in lines
    assert ["uptime", "1", "d 2 h"] in lines
    assert ["queue", "depth", "12"] in lines
    assert ["oldest", "job", "waiting for 1 min 15 s"] in lines
    assert ["consumer-1", "running", "11"] in lines
    assert ["nginx", "backoff"] in lines


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3600, "1 h 0 min")]
)
def test_a_time_is_written_in_the_two_largest_units_that_it_has(seconds: float, words: str) -> None:
    text = status_text((), addresses=ADDRESSES, facts=replace(FACTS, uptime_s=seconds))

    assert f"uptime        {words}" in text.splitlines()


def test_what_nobody_knows_is_called_unknown() -> None:
    unknown = replace(FACTS, queue_depth=None, uptime_s=None)

    lines = status_text((), addresses=ADDRESSES, facts=unknown).splitlines()

    assert "uptime        unknown" in lines
    assert "queue depth   unknown" in lines


@pytest.mark.parametrize("addresses", [ADDRESSES, WITHOUT_RABBITMQ])
def test_addresses_are_kept_for_whoever_asks_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addresses: Addresses
) -> None:
    monkeypatch.chdir(tmp_path)

    addresses.keep()

    assert Addresses.kept() == addresses
    assert Path("run/system.json").stat().st_mode & 0o777 == 0o600


def test_where_nothing_ran_no_addresses_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Addresses.kept() is None


def test_the_password_of_the_management_ui_is_not_shown_by_accident() -> None:
    assert "secret" not in repr(ADDRESSES)
    assert "hidden" not in repr(ADDRESSES)
