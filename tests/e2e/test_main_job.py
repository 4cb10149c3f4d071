"""Submit an image, get an id, poll it, get the labels: through nginx, with real servers."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from testbed.client import Client
from tests.e2e.conftest import Darkroom
from tests.examples import huge_png

SAMPLES = Path("models/digits/samples")
DIGITS = sorted(SAMPLES.glob("*.png"))


@pytest.fixture
def client(darkroom: Darkroom) -> Client:
    return Client(darkroom.url)


@pytest.mark.parametrize("sample", DIGITS, ids=lambda path: path.stem)
def test_every_sample_digit_is_read(client: Client, sample: Path) -> None:
    job = client.classify(sample.read_bytes())

    assert job["state"] == "done"
    assert job["result"]["predictions"][0]["label"] == sample.stem


def test_the_printed_lines_work_as_they_are_printed(darkroom: Darkroom) -> None:
    submitted = json.loads(_run(darkroom.greeting_line("curl -F")))

    polled = _run(darkroom.greeting_line("curl http").replace("ID", submitted["id"]))

    assert json.loads(polled)["id"] == submitted["id"]


def test_all_three_forms_of_a_submission_give_the_same_result(client: Client) -> None:
    image = DIGITS[7].read_bytes()

    results = [
        client.result_of(response)["predictions"]
        for response in (
            client.post_form(image, top_k="3"),
            client.post_body(image, top_k="3"),
            client.post_json(image, top_k=3),
        )
    ]

    assert len(results[0]) == 3
    assert results[0] == results[1] == results[2]


def test_ten_clients_with_twenty_images_each_get_the_results_of_their_own(
    darkroom: Darkroom,
) -> None:
    def hand_in(number: int) -> list[tuple[str, str]]:
        client = Client(darkroom.url)
        labels = [DIGITS[(number + step) % 10].stem for step in range(20)]
        responses = [
            client.post_form((SAMPLES / f"{label}.png").read_bytes(), metadata=f'{{"l": {label}}}')
            for label in labels
        ]
        assert [response.status_code for response in responses] == [202] * 20
        jobs = [client.wait_for(response.headers["Location"]) for response in responses]
        assert [job["state"] for job in jobs] == ["done"] * 20
        assert [str(job["metadata"]["l"]) for job in jobs] == labels
        return [
            (label, job["result"]["predictions"][0]["label"])
            for label, job in zip(labels, jobs, strict=True)
        ]

    with ThreadPoolExecutor(10) as clients:
        pairs = [pair for pairs in clients.map(hand_in, range(10)) for pair in pairs]

    assert len(pairs) == 200
    assert [mine for mine, _ in pairs] == [seen for _, seen in pairs]


def test_a_truncated_photograph_fails_with_a_reason(client: Client) -> None:
    job = client.classify(DIGITS[0].read_bytes()[:200])

    assert job["state"] == "failed"
    assert job["error"]["type"] == "urn:darkroom:problem:image-undecodable"


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (400, b"", "image/png"),
        (415, b"x", "image/png"),
        (415, b"This is a text, not a photograph.", "image/jpeg"),
        (415, b"hello", "text/plain"),
        (400, b"{", "application/json"),
        (422, b'{"base64": 5}', "application/json"),
        (422, b'{"base64": "%%%"}', "application/json"),
        (422, b'{"base64": "aGVsbG8=", "top_k": 0}', "application/json"),
        (422, b'{"base64": "aGVsbG8=", "top_k": "5"}', "application/json"),
        (422, b'{"base64": "aGVsbG8=", "metadata": [1]}', "application/json"),
    ],
)
def test_rubbish_is_refused_with_a_problem(
    client: Client, status: int, body: bytes, content_type: str
) -> None:
    response = client.post_raw(body, content_type)

    assert response.status_code == status
    assert_is_problem(response)


def test_an_unknown_model_is_refused_and_the_known_ones_are_named(client: Client) -> None:
    response = client.post_form(DIGITS[0].read_bytes(), model="no_such_net")

    assert response.status_code == 422
    assert response.json()["models"] == ["digits"]


def test_a_small_file_with_a_huge_picture_is_refused_by_its_header(client: Client) -> None:
    response = client.post_raw(huge_png(40_000, 40_000), "image/png")

    assert response.status_code == 422
    assert "1600000000 pixels; at most 50000000" in response.json()["detail"]


@pytest.mark.parametrize("chunked", [False, True], ids=["Content-Length", "chunked"])
@pytest.mark.parametrize("megabytes", [11, 20])
def test_a_body_over_the_limit_is_refused_with_the_limit(
    client: Client, megabytes: int, *, chunked: bool
) -> None:
    response = client.post_raw(bytes(megabytes * 1024**2), "image/png", chunked=chunked)

    assert response.status_code == 413
    assert_is_problem(response)
    assert response.json()["limit_bytes"] >= 10 * 1024**2


def test_unknown_paths_and_methods_are_problems_too(client: Client) -> None:
    for response in (
        requests.get(client.url + "/nothing", timeout=30),
        requests.get(client.url + "/jobs/nobody", timeout=30),
        requests.put(client.url + "/jobs", timeout=30),
        requests.get(client.url + "/" + "x" * 9000, timeout=30),
    ):
        assert 400 <= response.status_code < 500
        assert_is_problem(response)


def test_a_job_is_in_the_access_log_and_in_the_logs_of_api_and_consumer(
    darkroom: Darkroom, client: Client
) -> None:
    job = client.classify(DIGITS[0].read_bytes())

    for role in ("nginx", "api", "consumer"):
        darkroom.wait_for_log(role, job["id"])


def assert_is_problem(response: requests.Response) -> None:
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"].startswith("urn:darkroom:problem:")
    assert problem["title"]
    assert problem["detail"]


def _run(command: str) -> str:
    completed = subprocess.run(  # noqa: S602 (the line that a user would type)
        command + " -s", shell=True, check=True, capture_output=True, text=True
    )
    return completed.stdout
