"""Liveness and readiness."""

from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from common.jobs import OwnerId
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


def test_with_consumers_that_do_not_consume_it_is_not_ready_and_says_why(api: Api) -> None:
    api.registry.beat(replace(a_worker(), trouble="a right is missing"))

    response = api.client.get("/readyz")

    assert wrong_checks(response) == ["consumer"]
    assert checks_in(response)["consumer"] == "no consumer receives jobs: a right is missing"


def test_one_consumer_that_consumes_and_has_a_model_is_enough(api: Api) -> None:
    api.registry.beat(
        replace(a_worker(OwnerId("another")), trouble="it has not started to consume")
    )

    assert api.client.get("/readyz").status_code == 200


def test_a_consumer_without_a_model_does_not_answer_for_one_that_does_not_consume(
    api: Api,
) -> None:
    api.registry.beat(replace(a_worker(), trouble="a right is missing"))
    api.registry.beat(a_worker(OwnerId("another"), a_model("digits", ModelState.LOADING)))

    assert wrong_checks(api.client.get("/readyz")) == ["consumer"]


def test_what_the_courier_has_found_wrong_counts(api: Api) -> None:
    api.evidence.note("the queue is somebody else's")

    response = api.client.get("/readyz")

    assert wrong_checks(response) == ["courier"]
    assert checks_in(response)["courier"] == "the queue is somebody else's"


def test_a_courier_that_says_nothing_or_finds_nothing_wrong_is_in_nobodys_way(api: Api) -> None:
    expected = {"store": "ok", "broker": "ok", "consumer": "ok"}
    assert checks_in(api.client.get("/readyz")) == expected

    api.evidence.note("")

    assert checks_in(api.client.get("/readyz")) == expected


def test_evidence_that_cannot_be_read_just_now_is_in_nobodys_way(api: Api) -> None:
    api.evidence.is_down = True

    assert api.client.get("/readyz").status_code == 200
