"""An HTTP client as a user would write it."""

import base64
import time
import uuid
from collections.abc import Iterator
from typing import Any

import requests

_PATIENCE_S = 180.0
_TIMEOUT_S = 30.0
_STORE_BACK_WITHIN_S = 30.0


class Client:
    """Submits images and waits for their results."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def is_ready(self) -> bool:
        """Return whether a job submitted now would be classified soon."""
        try:
            return requests.get(self.url + "/readyz", timeout=_TIMEOUT_S).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def models(self) -> list[dict[str, Any]]:
        models: list[dict[str, Any]] = requests.get(
            self.url + "/models", timeout=_TIMEOUT_S
        ).json()["models"]
        return models

    def post_form(self, image: bytes, **fields: str) -> requests.Response:
        return self._post(files={"image": ("photo", image)}, data=fields)

    def post_once(self, image: bytes, key: str) -> requests.Response:
        """Submit *image* with an idempotency key, so that a repetition makes no second job."""
        headers = {"Idempotency-Key": f'"{key}"'}
        return self._post(files={"image": ("photo", image)}, headers=headers)

    def post_body(self, image: bytes, **query: str) -> requests.Response:
        return self._post(data=image, headers={"Content-Type": "image/png"}, params=query)

    def post_json(self, image: bytes, **members: Any) -> requests.Response:
        return self._post(json={"base64": base64.b64encode(image).decode(), **members})

    def post_raw(
        self, body: bytes, content_type: str, *, chunked: bool = False
    ) -> requests.Response:
        data = _in_chunks(body) if chunked else body
        return self._post(data=data, headers={"Content-Type": content_type})

    def classify(self, image: bytes, **fields: str) -> dict[str, Any]:
        """Submit *image* and wait for the end of its job."""
        response = self.post_form(image, **fields)
        assert response.status_code == 202, response.text
        return self.wait_for(response.headers["Location"])

    def hand_in(self, image: bytes) -> str:
        """Submit *image*, again if the store does not answer; return the location of its job.

        A store that was away a moment ago may still cost a request a 503.
        """
        key = str(uuid.uuid4())
        response, expected = self.post_once(image, key), {202}
        deadline_s = time.monotonic() + _STORE_BACK_WITHIN_S
        while _store_was_away(response) and time.monotonic() < deadline_s:
            time.sleep(float(response.headers["Retry-After"]))
            # 200: the job of an earlier try has ended already.
            response, expected = self.post_once(image, key), {200, 202}
        assert response.status_code in expected, response.text
        return response.headers["Location"]

    def result_of(self, response: requests.Response) -> dict[str, Any]:
        result: dict[str, Any] = self.wait_for(response.headers["Location"])["result"]
        return result

    def wait_for(
        self, location: str, *, pause_s: float = 0.02, patience_s: float = _PATIENCE_S
    ) -> dict[str, Any]:
        """Poll until the job has ended."""
        deadline_s = time.monotonic() + patience_s
        while True:
            job = self.job(location)
            if job["state"] in ("done", "failed", "cancelled"):
                return job
            assert time.monotonic() < deadline_s, f"not ended in time: {job}"
            time.sleep(pause_s)

    def job(self, location: str) -> dict[str, Any]:
        """Return the job as it is now, or the problem."""
        job: dict[str, Any] = requests.get(self.url + location, timeout=_TIMEOUT_S).json()
        return job

    def job_within(self, location: str, wait_s: int) -> requests.Response:
        """Get the job, and let the answer wait for its end."""
        return requests.get(self.url + location, params={"wait": wait_s}, timeout=_TIMEOUT_S)

    def post_and_wait(self, image: bytes, wait_s: int) -> requests.Response:
        """Submit *image*, and let the answer wait for the end of its job."""
        return self._post(
            data=image, headers={"Content-Type": "image/png", "Prefer": f"wait={wait_s}"}
        )

    def delete(self, location: str) -> requests.Response:
        return requests.delete(self.url + location, timeout=_TIMEOUT_S)

    def retry(self, location: str) -> requests.Response:
        return requests.post(f"{self.url}{location}/retry", timeout=_TIMEOUT_S)

    def _post(self, **request: Any) -> requests.Response:
        return requests.post(self.url + "/jobs", timeout=_TIMEOUT_S, **request)


def _store_was_away(response: requests.Response) -> bool:
    if response.status_code != 503:
        return False
    return bool(response.json()["type"] == "urn:darkroom:problem:store-unavailable")


def _in_chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]
