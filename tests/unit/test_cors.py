"""Scripts of other web pages: refused by default, and allowed by origin."""

import pytest

from common.settings.api import ApiSettings
from tests.examples import an_image
from tests.service import Api

ORIGIN = "https://shop.example"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type, idempotency-key, prefer",
}


def names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


def test_by_default_no_origin_is_allowed(api: Api) -> None:
    preflight = api.client.options("/jobs", headers=PREFLIGHT)
    answer = api.client.get("/models", headers={"Origin": ORIGIN})

    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_preflight_of_an_allowed_origin_gets_what_a_submission_needs() -> None:
    api = Api(cors_origins=(ORIGIN,))

    answer = api.client.options("/jobs", headers=PREFLIGHT)

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert names(answer.headers["Access-Control-Allow-Headers"]) == {
        "content-type",
        "idempotency-key",
        "prefer",
    }
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_an_answer_shows_its_headers_to_the_script() -> None:
    api = Api(cors_origins=(ORIGIN,))

    answer = api.client.post(
        "/jobs", data=an_image(), content_type="image/png", headers={"Origin": ORIGIN}
    )

    assert answer.status_code == 202
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = names(answer.headers["Access-Control-Expose-Headers"])
    assert {"location", "retry-after", "preference-applied"} <= exposed


def test_a_problem_can_be_read_by_the_script() -> None:
    api = Api(cors_origins=(ORIGIN,))

    answer = api.client.get("/jobs/unknown", headers={"Origin": ORIGIN})

    assert answer.status_code == 404
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_another_origin_is_not_allowed() -> None:
    api = Api(cors_origins=(ORIGIN, "https://other.example"))

    answer = api.client.options("/jobs", headers=PREFLIGHT | {"Origin": "https://evil.example"})

    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_star_allows_every_origin() -> None:
    api = Api(cors_origins=("*",))

    answer = api.client.get("/models", headers={"Origin": ORIGIN})

    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_CORS_ORIGINS", "https://A.example, http://localhost:3000")

    assert ApiSettings().cors_origins == ("https://a.example", "http://localhost:3000")
