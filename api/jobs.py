"""The resource ``/jobs``."""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from api import idempotency, waiting
from api.deadlines import Check, in_time, left_s
from api.payload import read_payload
from api.problems import ProblemError
from api.removal import remove
from api.schemas import JobView, as_json
from api.submission import Submission, find_job
from api.waiting import Waits
from common.errors import StoreRefusedError, StoreUnavailableError, UnreadableRecordError
from common.jobs import Job, JobId
from common.ports import JobStore
from common.settings import Settings

# A job seldom takes longer, and whoever is in a hurry may ask sooner.
_RETRY_AFTER_S = 1

# How often the store is asked once it is decided that a request is in time.
_CALLS_TO_ADD = 2  # the image, the record
_CALLS_TO_REMOVE = 3  # the record, the image, and what has become of the record


def create_blueprint(
    settings: Settings, store: JobStore, submission: Submission, waits: Waits
) -> Blueprint:
    """Make the views of jobs."""
    jobs = Blueprint("jobs", __name__, url_prefix="/jobs")

    @jobs.post("")
    def submit() -> Response:
        """Accept an image and say where its result will appear, or what it is."""
        asked_s = waiting.asked_s(request, most_s=settings.max_wait_s)
        preferred_s = waiting.preferred_s(request, most_s=waits.longest_s)
        submitted = submission.submit(
            read_payload(
                request,
                limit_bytes=settings.max_body_bytes,
                other_parameters={waiting.PREFERENCE},
            ),
            idempotency_key=idempotency.read_key(request),
            check_in_time=_in_time(settings, store_calls=_CALLS_TO_ADD, publishes=True),
        )
        job = submitted.job
        wait_s = _shortened(settings, preferred_s if asked_s is None else asked_s)
        waited = _end_of_accepted(job, wait_s)
        found = waited or job
        response = _respond(found, HTTPStatus.OK if found.is_finished else HTTPStatus.ACCEPTED)
        response.headers["Location"] = f"/jobs/{job.job_id}"
        if submitted.is_replayed:
            response.headers[idempotency.REPLAYED] = "true"
        if waited is not None and asked_s is None:
            response.headers["Preference-Applied"] = f"wait={wait_s}"
        return response

    def _end_of_accepted(job: Job, wait_s: int | None) -> Job | None:
        try:
            return waits.until_finished(job, at_most_s=wait_s)
        except (ProblemError, StoreUnavailableError, StoreRefusedError, UnreadableRecordError):
            return None  # it was accepted, whatever became of it, or of the store, since

    @jobs.get("/<job_id>")
    def show(job_id: str) -> Response:
        """Report one job, with its predictions once it has them."""
        asked_s = waiting.asked_s(request, most_s=settings.max_wait_s)
        preferred_s = waiting.preferred_s(request, most_s=waits.longest_s)
        job = find_job(store, JobId(job_id))
        wait_s = _shortened(settings, preferred_s if asked_s is None else asked_s)
        waited = waits.until_finished(job, at_most_s=wait_s)
        response = _respond(waited or job, HTTPStatus.OK)
        if waited is not None and asked_s is None:
            response.headers["Preference-Applied"] = f"wait={wait_s}"
        return response

    @jobs.delete("/<job_id>")
    def take_back(job_id: str) -> Response:
        """Cancel a job, or delete one that has ended."""
        check = _in_time(settings, store_calls=_CALLS_TO_REMOVE)
        cancelled = remove(store, JobId(job_id), check_in_time=check)
        return _deleted(job_id) if cancelled is None else _respond(cancelled, HTTPStatus.OK)

    @jobs.post("/<job_id>/retry")
    def retry(job_id: str) -> Response:
        """Give a failed job a new start, under the same id."""
        check = _in_time(settings, store_calls=1, publishes=True)
        response = _respond(
            submission.retry(JobId(job_id), check_in_time=check), HTTPStatus.ACCEPTED
        )
        response.headers["Location"] = f"/jobs/{job_id}"
        return response

    return jobs


def _in_time(settings: Settings, *, store_calls: int, publishes: bool = False) -> Check:
    margin_s = store_calls * settings.store_timeout_s
    return in_time(
        request.environ, margin_s=margin_s + (settings.publish_timeout_s if publishes else 0)
    )


def _shortened(settings: Settings, wait_s: int | None) -> int | None:
    """Have a wait end before nginx gives the request up, with a last look at the store."""
    if wait_s is None:
        return None
    return max(0, int(min(wait_s, left_s(request.environ, margin_s=settings.store_timeout_s))))


def _respond(job: Job, status: HTTPStatus) -> Response:
    response = jsonify(as_json(JobView.of(job)))
    response.status_code = status
    response.headers["X-Job-Id"] = job.job_id
    response.headers["Cache-Control"] = "no-store"
    if not job.is_finished:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response


def _deleted(job_id: str) -> Response:
    response = Response(status=HTTPStatus.NO_CONTENT, headers={"X-Job-Id": job_id})
    del response.headers["Content-Type"]  # of no content
    return response
