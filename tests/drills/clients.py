"""Careful clients: one key per submission, repeated until it is answered."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Final

import requests

from testbed.client import Client
from testbed.echo import DONE, Expectation, Order, numbered
from tests.drills.ledger import Ledger

_PATIENCE_S: Final = 180.0
_PAUSE_S: Final = 0.2
_AT_ONCE: Final = 4


class Clients:
    """Submits numbered images and records which jobs were accepted.

    Args:
        url: Where the service is.
        ledger: Takes what was accepted.
        chance: Where the keys come from, so that a seed gives the same ones.
    """

    def __init__(self, url: str, ledger: Ledger, chance: random.Random) -> None:
        self._client = Client(url)
        self.ledger = ledger
        self.repeats = 0  # requests that were not answered, or not with a job
        self.refusals: Counter[str] = Counter()  # the problems among them
        self._accepted: list[tuple[bytes, str, Expectation]] = []
        self._chance = chance
        self._lock = threading.Lock()

    def submit(
        self,
        order: Order = Order.ANSWER,
        parameter: int = 0,
        *,
        states: frozenset[str] = DONE,
        problem: str = "",
        patience_s: float = _PATIENCE_S,
    ) -> str:
        """Submit one image until it is accepted; return the job's id."""
        number = self.ledger.next_number()
        expectation = Expectation(number=number, states=states, problem=problem)
        return self.post(numbered(number, order, parameter), expectation, patience_s=patience_s)

    def post(
        self, image: bytes, expectation: Expectation, *, patience_s: float = _PATIENCE_S
    ) -> str:
        """Submit *image* until it is accepted; return the job's id."""
        with self._lock:
            key = f"{self._chance.getrandbits(128):032x}"
        job_id = self._insist(image, key, expectation, patience_s)
        self._accepted.append((image, key, expectation))
        return job_id

    def repeat_all(self) -> None:
        """Repeat every accepted submission with its key; the ledger knows the jobs."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            repeated = [
                pool.submit(self._insist, *submission, _PATIENCE_S) for submission in self._accepted
            ]
            for one in repeated:
                one.result()

    def _insist(self, image: bytes, key: str, expectation: Expectation, patience_s: float) -> str:
        deadline_s = time.monotonic() + patience_s
        while (job_id := self.try_post(image, key)) is None:
            assert time.monotonic() < deadline_s, f"not accepted within {patience_s} s"
            time.sleep(_PAUSE_S)
        self.ledger.accepted(job_id, key, expectation)
        return job_id

    def try_post(self, image: bytes, key: str) -> str | None:
        """Send one request; return the job's id, or None if nothing was accepted for sure."""
        try:
            response = self._client.post_once(image, key)
        except requests.RequestException:
            self.repeats += 1
            return None
        # 200 if the job of an earlier try has ended already.
        if response.status_code in (HTTPStatus.ACCEPTED, HTTPStatus.OK):
            job_id: str = response.json()["id"]
            return job_id
        # 502 and 503 are what a proxy says of an api that is away. Others are ours, and bugs.
        assert response.status_code in (
            HTTPStatus.BAD_GATEWAY,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.GATEWAY_TIMEOUT,
        ), f"{response.status_code}: {response.text}"
        self.repeats += 1
        with suppress(ValueError):  # a proxy's own page
            self.refusals[str(response.json().get("type")).rpartition(":")[2]] += 1
        return None

    def status_of(self, image: bytes) -> int:
        """Send one request, and return the status of the answer."""
        return self._client.post_form(image).status_code

    def submit_many(self, count: int, order: Order = Order.ANSWER, parameter: int = 0) -> list[str]:
        """Submit *count* images, several at once; return the jobs' ids."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            submitted = [pool.submit(self.submit, order, parameter) for _ in range(count)]
            return [one.result() for one in submitted]

    @contextmanager
    def load(
        self,
        *,
        clients: int = _AT_ONCE,
        pause_s: float = 0.1,
        order: Order = Order.ANSWER,
        parameter: int = 0,
    ) -> Iterator[None]:
        """Let *clients* submit images until the end of the block."""
        ending = threading.Event()

        def work() -> None:
            while not ending.wait(pause_s):
                self.submit(order, parameter)

        with ThreadPoolExecutor(clients) as pool:
            working = [pool.submit(work) for _ in range(clients)]
            try:
                yield
            finally:
                ending.set()
        for one in working:
            one.result()

    def retry(self, job_id: str) -> bool:
        """Retry a failed job; return whether that was accepted."""
        self.ledger.will_retry(job_id)
        return _status(self._client.retry, job_id) == HTTPStatus.ACCEPTED

    def cancel(self, job_id: str) -> bool:
        """Cancel a job, or delete an ended one; return whether that was done."""
        done = (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
        return _status(self._client.delete, job_id) in done


def _status(ask: Callable[[str], requests.Response], job_id: str) -> int | None:
    with suppress(requests.RequestException):
        return ask(f"/jobs/{job_id}").status_code
    return None
