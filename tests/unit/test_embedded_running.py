"""What a running system tells about itself, to people and to programs."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from embedded.running import (
    Addresses,
    about_resnet18,
    greeting,
    status_document,
    status_table,
)
from embedded.supervision import Process

MANAGEMENT = {"url": "http://127.0.0.1:9084/", "user": "darkroom", "password": "secret"}
ADDRESSES = Addresses(port=9080, management=MANAGEMENT)
WITHOUT_RABBITMQ = Addresses(port=9080, management=None)
PROCESSES = (
    Process("consumer-1", "RUNNING", 11),
    Process("consumer-2", "RUNNING", 12),
    Process("api", "RUNNING", 13),
    Process("nginx", "BACKOFF", 0),
)


@pytest.fixture
def readyz(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Decide what the system answers to the question whether it is ready."""

    def answer(status: int) -> None:
        answers: Any = {(9080, "/readyz"): (status, {})}
        monkeypatch.setattr("embedded.running.ask", lambda port, path: answers[port, path])

    return answer


def test_the_greeting_has_the_page_and_commands_that_can_be_copied() -> None:
    lines = greeting(ADDRESSES, "").splitlines()

    assert "Darkroom is ready: http://127.0.0.1:9080/" in lines
    assert "  curl -F image=@models/digits/samples/7.png http://127.0.0.1:9080/jobs" in lines
    assert "  curl http://127.0.0.1:9080/jobs/ID" in lines


def test_the_image_in_the_greeting_is_there() -> None:
    [sample] = [word[7:] for word in greeting(ADDRESSES, "").split() if word.startswith("image=@")]

    assert (Path(__file__).parents[2] / sample).is_file()


def test_the_greeting_says_how_to_log_in_to_a_rabbitmq_of_ours() -> None:
    assert (
        "RabbitMQ's management UI: http://127.0.0.1:9084/ (user darkroom, password secret)"
        in greeting(ADDRESSES, "").splitlines()
    )


def test_the_greeting_is_silent_about_a_rabbitmq_of_somebody_else() -> None:
    assert "RabbitMQ" not in greeting(WITHOUT_RABBITMQ, "")


def test_the_greeting_says_how_to_serve_resnet18_beside_the_others() -> None:
    lines = greeting(ADDRESSES, about_resnet18(("digits", "mine"), obstacle="")).splitlines()

    assert (
        "To serve resnet18 too: ./start.sh stop, then "
        "DARKROOM_MODELS=digits,mine,resnet18 ./start.sh"
    ) in lines


def test_the_greeting_says_why_resnet18_cannot_be_served() -> None:
    lines = greeting(ADDRESSES, about_resnet18(("digits",), obstacle="it rains")).splitlines()

    assert "resnet18 cannot be served here: its weights are missing, and it rains" in lines


def test_the_greeting_offers_nothing_that_is_served_already() -> None:
    lines = greeting(ADDRESSES, about_resnet18(("digits", "resnet18"), "it rains")).splitlines()

    assert "Served models: digits, resnet18" in lines
    assert not [line for line in lines if "cannot" in line or line.startswith("To serve")]


def test_the_status_has_the_process_ids_of_each_role(readyz: Any) -> None:
    readyz(HTTPStatus.OK)

    document = status_document(PROCESSES, supervisor=10, addresses=ADDRESSES)

    assert document == {
        "running": True,
        "ready": True,
        "url": "http://127.0.0.1:9080",
        "management": MANAGEMENT,
        "supervisor": 10,
        "roles": {"consumer": [11, 12], "api": [13]},
    }


@pytest.mark.parametrize("status", [0, HTTPStatus.SERVICE_UNAVAILABLE])
def test_what_does_not_answer_that_it_is_ready_is_not(readyz: Any, status: int) -> None:
    readyz(status)

    document = status_document(PROCESSES, supervisor=10, addresses=ADDRESSES)

    assert document["ready"] is False


def test_what_has_no_addresses_yet_is_not_ready() -> None:
    document = status_document((), supervisor=None, addresses=None)

    assert document == {
        "running": True,
        "ready": False,
        "url": None,
        "management": None,
        "supervisor": None,
        "roles": {},
    }


def test_the_table_has_a_line_a_program() -> None:
    lines = status_table(PROCESSES).splitlines()

    assert [line.split() for line in lines] == [
        ["consumer-1", "running", "11"],
        ["consumer-2", "running", "12"],
        ["api", "running", "13"],
        ["nginx", "backoff"],
    ]


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
