"""Requests that wait for the end of a job, by the query or by a preference (RFC 7240)."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from api import request_threads
from common.jobs import Job, JobId, Result
from testbed.waiting import wait_for
from tests.examples import JOB_ID, OWNER, TABBY, a_job, an_image
from tests.fakes import Clock, InMemoryStore
from tests.service import REQUEST_THREADS, Api

RESULT = Result(predictions=(TABBY,), model="digits", model_version="0", queue_ms=1, inference_ms=2)


class EventfulStore(InMemoryStore):
    """Makes something happen when a job is read for the third time."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.looked = threading.Semaphore(0)
        self.happen = self.finish

    def get(self, job_id: JobId) -> Job | None:
        self.looks += 1
        self.looked.release()
        if self.looks == 3:
            self.happen()
        return super().get(job_id)

    def finish(self) -> None:
        for job_id, job in self.jobs.items():
            self.jobs[job_id] = job.claim(OWNER).succeed(RESULT)


@pytest.fixture
def store() -> EventfulStore:
    return EventfulStore()


@pytest.fixture
def api(store: EventfulStore) -> Api:
    return Api(store)


def nothing() -> None:
    pass


def show(api: Api, wait: str | None = None, *, prefer: str | None = None) -> TestResponse:
    return api.client.get(
        f"/jobs/{JOB_ID}",
        query_string={} if wait is None else {"wait": wait},
        headers={} if prefer is None else {"Prefer": prefer},
    )


def submit(api: Api, prefer: str) -> TestResponse:
    return api.client.post(
        "/jobs", data=an_image(), content_type="image/png", headers={"Prefer": prefer}
    )


def state_of(response: TestResponse) -> str:
    assert response.json is not None
    return str(response.json["state"])


@pytest.mark.parametrize(("wait", "prefer"), [("20", None), (None, "wait=20")])
def test_a_question_that_waits_is_answered_once_the_job_has_ended(
    api: Api, store: EventfulStore, wait: str | None, prefer: str | None
) -> None:
    store.jobs[JOB_ID] = a_job(JOB_ID)

    response = show(api, wait, prefer=prefer)

    assert response.status_code == 200
    assert state_of(response) == "done"
    assert "Retry-After" not in response.headers
    assert response.headers.get("Preference-Applied") == prefer


def test_a_question_whose_time_is_over_is_answered_with_the_job_as_it_is(
    api: Api, store: EventfulStore
) -> None:
    store.jobs[JOB_ID] = a_job(JOB_ID)
    store.happen = nothing

    response = show(api, "1")

    assert response.status_code == 200
    assert state_of(response) == "pending"
    assert response.headers["Retry-After"] == "1"
    assert "Preference-Applied" not in response.headers


def test_nobody_waits_without_being_asked_to(api: Api) -> None:
    api.store.jobs[JOB_ID] = a_job(JOB_ID)

    assert state_of(show(api)) == state_of(show(api, "0")) == "pending"


@pytest.mark.parametrize("wait", ["", "-1", "21", "1.5", "soon", "٣", "9" * 5000])
def test_a_time_that_is_none_is_refused_with_what_is_allowed(api: Api, wait: str) -> None:
    response = show(api, wait)

    assert response.status_code == 422
    assert response.json is not None
    [error] = response.json["errors"]
    assert error["field"] == "wait"
    assert "from 0 to 20" in error["message"]


def test_a_job_that_is_deleted_meanwhile_is_not_there(api: Api, store: EventfulStore) -> None:
    store.jobs[JOB_ID] = a_job(JOB_ID)
    store.happen = store.jobs.clear

    assert show(api, "20").status_code == 404


def test_while_the_store_is_down_nobody_waits_for_it(api: Api, store: EventfulStore) -> None:
    store.jobs[JOB_ID] = a_job(JOB_ID)
    store.happen = lambda: setattr(store, "is_down", True)

    response = show(api, "20")

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def test_a_submission_that_waits_is_answered_with_the_result(api: Api) -> None:
    response = submit(api, "wait=20")

    assert response.status_code == 200
    assert state_of(response) == "done"
    assert response.headers["Preference-Applied"] == "wait=20"
    assert response.headers["Location"] == f"/jobs/{response.headers['X-Job-Id']}"
    assert "Retry-After" not in response.headers


def test_a_submission_whose_time_is_over_is_answered_with_a_ticket(
    api: Api, store: EventfulStore
) -> None:
    store.happen = nothing

    response = submit(api, "wait=1")

    assert response.status_code == 202
    assert state_of(response) == "pending"
    assert response.headers["Preference-Applied"] == "wait=1"
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize("trouble", ["the store is down", "the job is deleted"])
def test_a_submission_that_was_accepted_is_a_ticket_whatever_happens_next(
    api: Api, store: EventfulStore, trouble: str
) -> None:
    store.happen = (
        store.jobs.clear
        if trouble == "the job is deleted"
        else lambda: setattr(store, "is_down", True)
    )

    response = submit(api, "wait=20")

    assert response.status_code == 202
    assert state_of(response) == "pending"
    assert "Preference-Applied" not in response.headers


def test_a_repeated_submission_that_waits_gets_the_result_of_the_first(api: Api) -> None:
    headers = {"Idempotency-Key": "a-key", "Prefer": "wait=20"}
    image = an_image()
    first = api.client.post("/jobs", data=image, content_type="image/png", headers=headers)

    again = api.client.post("/jobs", data=image, content_type="image/png", headers=headers)

    assert again.status_code == 200
    assert again.json == first.json


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=7", "wait=7"),
        ('WAIT = "7" ; reason=hurry', "wait=7"),
        ("respond-async, wait=7", "wait=7"),
        ("wait=7, wait=8", "wait=7"),
        ("wait=999999", "wait=20"),
        ("wait=0", "wait=0"),
        ("wait", None),
        ("wait=soon, wait=7", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ('x="wait=7"', None),
        ("", None),
    ],
)
def test_a_preference_is_read_as_rfc_7240_has_it(
    api: Api, store: EventfulStore, prefer: str, applied: str | None
) -> None:
    store.jobs[JOB_ID] = a_job(JOB_ID).claim(OWNER).succeed(RESULT)

    response = show(api, prefer=prefer)

    assert response.status_code == 200
    assert response.headers.get("Preference-Applied") == applied


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255)))
def test_any_preference_at_all_is_honoured_or_ignored(prefer: str) -> None:
    assert show(FINISHED, prefer=prefer).status_code == 200


@contextmanager
def waiting_requests(api: Api, store: EventfulStore, count: int) -> Iterator[None]:
    """Let some requests wait for one job until the end of the block."""
    store.jobs[JOB_ID] = a_job(JOB_ID)
    store.happen = nothing
    with ThreadPoolExecutor(count) as clients:
        waiting = [clients.submit(show, api, "20") for _ in range(count)]
        for _ in range(10 * count):
            assert store.looked.acquire(timeout=10)
        yield
        store.finish()
        assert {state_of(one.result()) for one in waiting} == {"done"}


def test_half_of_the_threads_may_wait_and_others_are_answered_at_once(
    api: Api, store: EventfulStore
) -> None:
    with waiting_requests(api, store, REQUEST_THREADS // 2):
        response = show(api, prefer="wait=20")

    assert response.status_code == 200
    assert state_of(response) == "pending"
    assert response.headers["Retry-After"] == "1"
    assert "Preference-Applied" not in response.headers


def test_there_is_room_again_once_others_have_their_answers(api: Api, store: EventfulStore) -> None:
    with waiting_requests(api, store, REQUEST_THREADS // 2):
        pass

    assert show(api, prefer="wait=20").headers["Preference-Applied"] == "wait=20"


def test_nobody_waits_for_an_api_that_stops(api: Api, store: EventfulStore) -> None:
    store.jobs[JOB_ID] = a_job(JOB_ID)
    store.happen = lambda: setattr(api, "is_stopping", True)

    assert state_of(show(api, "20")) == "pending"


class TimedStore(InMemoryStore):
    """Ends its only job some time after it was first read."""

    def __init__(self, clock: Clock, *, takes_s: float) -> None:
        super().__init__(a_job(JOB_ID))
        self._clock = clock
        self._done_s = clock.now_s + takes_s

    def get(self, job_id: JobId) -> Job | None:
        job = super().get(job_id)
        if job is None or self._clock.now_s < self._done_s:
            return job
        return job.claim(OWNER).succeed(RESULT)


@pytest.mark.parametrize(
    ("takes_s", "most_reads"), [(0.001, 1), (0.02, 1), (0.05, 7), (0.5, 32), (5, 80), (19, 220)]
)
def test_a_result_is_seen_within_a_tenth_of_what_it_took_and_few_reads(
    monkeypatch: pytest.MonkeyPatch, takes_s: float, most_reads: int
) -> None:
    clock = Clock()
    store = TimedStore(clock, takes_s=takes_s)
    monkeypatch.setattr("api.jobs.waiting.time", clock)

    show(Api(store), "20")

    assert sum(clock.slept_s) <= max(0.02, takes_s + 0.005, takes_s * 1.1)
    assert len(clock.slept_s) <= most_reads


def test_a_short_grace_leaves_time_for_the_answer() -> None:
    api = Api(EventfulStore(), grace_s=5, store_timeout_s=2)

    response = submit(api, "wait=20")

    assert response.headers["Preference-Applied"] == "wait=3"


def test_request_threads_are_known_by_name_and_missed_once_they_have_ended() -> None:
    go = threading.Event()
    threads = [threading.Thread(target=go.wait, name=f"uWSGIWorker1Core{n}") for n in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: request_threads.count() == 2)

    assert not request_threads.are_ending()
    go.set()
    for thread in threads:
        thread.join()
    assert request_threads.count() == 0


# Hypothesis calls a test many times, but its fixtures only once.
FINISHED = Api(InMemoryStore(a_job(JOB_ID).claim(OWNER).succeed(RESULT)))
