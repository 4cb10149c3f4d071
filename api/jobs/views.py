"""The views of jobs."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, jsonify, request

from api.deadlines import Check, in_time, left_s
from api.jobs import idempotency, waiting
from api.jobs.lookup import find_job
from api.jobs.payload.reading import read_payload
from api.jobs.removal import remove
from api.jobs.schemas import JobView
from api.jobs.submission import Submission
from api.jobs.waiting import Waits
from api.problems import ProblemError
from api.schemas import as_json
from common.errors import StoreRefusedError, StoreUnavailableError, UnreadableRecordError
from common.jobs import Job, JobId
from common.ports.jobs import JobStore
from common.settings.api import ApiSettings

# A job seldom takes longer; clients in a hurry may ask sooner.
_RETRY_AFTER_S: Final = 1

# The calls to the store after a request was found to be in time.
_CALLS_TO_ADD: Final = 2  # the image, the record
_CALLS_TO_REMOVE: Final = 3  # the record, the image, and what has become of the record


def create_jobs(
    settings: ApiSettings, store: JobStore, submission: Submission, waits: Waits
) -> Blueprint:
    """Make the resource."""
    views = JobViews(settings, store, submission, waits)
    jobs = Blueprint("jobs", __name__, url_prefix="/jobs")
    jobs.add_url_rule("", view_func=views.submit, methods=["POST"])
    jobs.add_url_rule("/<job_id>", view_func=views.show, methods=["GET"])
    jobs.add_url_rule("/<job_id>", view_func=views.take_back, methods=["DELETE"])
    jobs.add_url_rule("/<job_id>/retry", view_func=views.retry, methods=["POST"])
    return jobs


@dataclass(frozen=True, slots=True)
class JobViews:
    """A method for each request."""

    settings: ApiSettings
    store: JobStore
    submission: Submission
    waits: Waits

    def submit(self) -> Response:
        """Accept an image; answer with the job, or with its result if that is there in time."""
        wait = self._asked_wait()
        submitted = self.submission.submit(
            read_payload(
                request,
                limit_bytes=self.settings.max_body_bytes,
                other_parameters={waiting.PREFERENCE},
            ),
            idempotency_key=idempotency.read_key(request),
            check_in_time=self._in_time(store_calls=_CALLS_TO_ADD, publishes=True),
        )
        job = submitted.job
        wait_s = self._shortened(wait.seconds)
        waited = self._end_of_accepted(job, wait_s)
        found = waited or job
        response = _respond(found, HTTPStatus.OK if found.is_finished else HTTPStatus.ACCEPTED)
        response.headers["Location"] = f"/jobs/{job.job_id}"
        if submitted.is_replayed:
            response.headers[idempotency.REPLAYED] = "true"
        if waited is not None and wait.is_preferred:
            _say_applied(response, wait_s)
        return response

    def show(self, job_id: str) -> Response:
        """Show one job, with its predictions once it has them."""
        wait = self._asked_wait()
        job = find_job(self.store, JobId(job_id))
        wait_s = self._shortened(wait.seconds)
        waited = self.waits.until_finished(job, at_most_s=wait_s)
        response = _respond(waited or job, HTTPStatus.OK)
        if waited is not None and wait.is_preferred:
            _say_applied(response, wait_s)
        return response

    def take_back(self, job_id: str) -> Response:
        """Cancel an unfinished job, or delete a finished one."""
        check = self._in_time(store_calls=_CALLS_TO_REMOVE)
        cancelled = remove(self.store, JobId(job_id), check_in_time=check)
        return _deleted(job_id) if cancelled is None else _respond(cancelled, HTTPStatus.OK)

    def retry(self, job_id: str) -> Response:
        """Retry a failed job under the same id."""
        check = self._in_time(store_calls=1, publishes=True)
        retried = self.submission.retry(JobId(job_id), check_in_time=check)
        response = _respond(retried, HTTPStatus.ACCEPTED)
        response.headers["Location"] = f"/jobs/{job_id}"
        return response

    def _asked_wait(self) -> waiting.AskedWait:
        return waiting.asked_wait(
            request, most_s=self.settings.max_wait_s, most_preferred_s=self.waits.longest_s
        )

    def _end_of_accepted(self, job: Job, wait_s: int | None) -> Job | None:
        try:
            return self.waits.until_finished(job, at_most_s=wait_s)
        except (ProblemError, StoreUnavailableError, StoreRefusedError, UnreadableRecordError):
            return None  # the job was accepted, whatever happened to it or the store since

    def _in_time(self, *, store_calls: int, publishes: bool = False) -> Check:
        margin_s = store_calls * self.settings.store_timeout_s
        if publishes:
            margin_s += self.settings.publish_timeout_s
        return in_time(request.environ, margin_s=margin_s)

    def _shortened(self, wait_s: int | None) -> int | None:
        """End a wait before nginx gives up the request, with a last read of the store."""
        if wait_s is None:
            return None
        still_s = left_s(request.environ, margin_s=self.settings.store_timeout_s)
        return max(0, int(min(wait_s, still_s)))


def _respond(job: Job, status: HTTPStatus) -> Response:
    response = jsonify(as_json(JobView.of(job)))
    response.status_code = status
    response.headers["X-Job-Id"] = job.job_id
    response.headers["Cache-Control"] = "no-store"
    if not job.is_finished:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response


def _say_applied(response: Response, wait_s: int | None) -> None:
    response.headers["Preference-Applied"] = f"wait={wait_s}"


def _deleted(job_id: str) -> Response:
    response = Response(status=HTTPStatus.NO_CONTENT, headers={"X-Job-Id": job_id})
    del response.headers["Content-Type"]  # of no content
    return response
