"""The resource ``/jobs``."""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from api import idempotency
from api.payload import read_payload
from api.removal import remove
from api.schemas import JobView, as_json
from api.submission import Submission, find_job
from common.jobs import Job, JobId
from common.ports import JobStore

# A job seldom takes longer, and whoever is in a hurry may ask sooner.
_RETRY_AFTER_S = 1


def create_blueprint(store: JobStore, submission: Submission) -> Blueprint:
    """Make the views of jobs."""
    jobs = Blueprint("jobs", __name__, url_prefix="/jobs")

    @jobs.post("")
    def submit() -> Response:
        """Accept an image and say where its result will appear."""
        job = submission.submit(
            read_payload(request), idempotency_key=idempotency.read_key(request)
        )
        response = _respond(job, HTTPStatus.ACCEPTED)
        response.headers["Location"] = f"/jobs/{job.job_id}"
        return response

    @jobs.get("/<job_id>")
    def show(job_id: str) -> Response:
        """Report one job, with its predictions once it has them."""
        return _respond(find_job(store, JobId(job_id)), HTTPStatus.OK)

    @jobs.delete("/<job_id>")
    def take_back(job_id: str) -> Response:
        """Cancel a job, or delete one that has ended."""
        cancelled = remove(store, JobId(job_id))
        return _deleted(job_id) if cancelled is None else _respond(cancelled, HTTPStatus.OK)

    @jobs.post("/<job_id>/retry")
    def retry(job_id: str) -> Response:
        """Give a failed job a new start, under the same id."""
        response = _respond(submission.retry(JobId(job_id)), HTTPStatus.ACCEPTED)
        response.headers["Location"] = f"/jobs/{job_id}"
        return response

    return jobs


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
