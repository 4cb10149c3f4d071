"""A cheap client of the service: one ``http.client`` connection, kept open."""

import json
import time
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit

_TIMEOUT_S: Final = 120.0
_WAIT_S: Final = 20
_IDLE_S: Final = 30.0  # nginx closes connections that were idle for twice as long

Job = dict[str, Any]


class RefusedError(Exception):
    """The service did not answer as expected."""


class Connection:
    """Speaks to the service at *url*. Belongs to one thread.

    Every call raises RefusedError where the service answers anything but what is expected.
    """

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)
        self._used_s = 0.0

    def post(self, image: bytes, *, model: str, content_type: str = "image/jpeg") -> str:
        """Submit *image*; return the id of its job."""
        headers = {"Content-Type": content_type}
        return str(self._ask(HTTPStatus.ACCEPTED, f"/jobs?model={model}", image, headers)["id"])

    def post_and_wait(self, image: bytes, *, model: str, content_type: str) -> Job:
        """Submit *image*; return its job once it has ended."""
        headers = {"Content-Type": content_type, "Prefer": f"wait={_WAIT_S}"}
        return self._ask(HTTPStatus.OK, f"/jobs?model={model}", image, headers)

    def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        return self._ask(HTTPStatus.OK, f"/jobs/{job_id}", None, {})

    def close(self) -> None:
        self._connection.close()

    def _ask(self, expected: int, path: str, body: bytes | None, headers: dict[str, str]) -> Job:
        if time.monotonic() - self._used_s > _IDLE_S:
            self.close()  # the next request opens it again, as after "Connection: close"
        self._connection.request("GET" if body is None else "POST", path, body, headers)
        response = self._connection.getresponse()
        received = response.read()
        self._used_s = time.monotonic()
        if response.status != expected:
            raise RefusedError(f"{response.status}: {received.decode(errors='replace')}")
        job: Job = json.loads(received)
        return job
