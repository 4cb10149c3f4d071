"""Liveness and readiness."""

import pytest
from werkzeug.test import TestResponse

from common.workers import ModelState
from tests.examples import OWNER, a_model, a_worker
from tests.service import Api


def checks_in(response: TestResponse) -> dict[str, str]:
    assert response.json is not None
    checks: dict[str, str] = response.json["checks"]
    return checks


def wrong_checks(response: TestResponse) -> list[str]:
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    return [name for name, state in checks_in(response).items() if state != "ok"]


def test_a_process_that_answers_is_alive_whatever_else_is_down(api: Api) -> None:
    api.store.is_down = api.registry.is_down = True
    api.publisher.is_open = False

    response = api.client.get("/healthz")

    assert response.status_code == 200
    assert response.json == {"status": "ok"}


def test_the_service_is_ready_when_store_broker_and_a_consumer_are(api: Api) -> None:
    response = api.client.get("/readyz")

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["status"] == "ready"
    assert checks_in(response) == {"store": "ok", "broker": "ok", "consumer": "ok"}


def test_without_rabbitmq_it_is_not_ready(api: Api) -> None:
    api.publisher.is_open = False

    response = api.client.get("/readyz")

    assert wrong_checks(response) == ["broker"]
    assert response.json is not None
    assert "RabbitMQ" in response.json["detail"]


def test_without_the_store_it_is_not_ready_and_knows_of_no_consumer(api: Api) -> None:
    api.registry.is_down = True

    response = api.client.get("/readyz")

    assert wrong_checks(response) == ["store", "consumer"]
    assert response.json is not None
    assert "MongoDB" in response.json["detail"]


def test_without_a_living_consumer_it_is_not_ready(api: Api) -> None:
    api.registry.forget(OWNER)

    response = api.client.get("/readyz")

    assert wrong_checks(response) == ["consumer"]


@pytest.mark.parametrize("state", [ModelState.LOADING, ModelState.UNAVAILABLE])
def test_with_consumers_that_have_no_model_ready_it_is_not_ready(
    api: Api, state: ModelState
) -> None:
    api.registry.beat(a_worker(OWNER, a_model("digits", state)))

    response = api.client.get("/readyz")

    assert wrong_checks(response) == ["consumer"]


def test_everything_that_is_wrong_is_told_at_once(api: Api) -> None:
    api.registry.is_down = True
    api.publisher.is_open = False

    response = api.client.get("/readyz")

    assert wrong_checks(response) == ["store", "broker", "consumer"]
