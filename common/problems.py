"""The problem types (RFC 9457) that Darkroom answers with, in HTTP and in failed jobs."""

from common.jobs import Failure

_PREFIX = "urn:darkroom:problem:"


def problem_type(name: str) -> str:
    """Name a problem type; docs/problems.md explains each."""
    return _PREFIX + name


def failure(name: str, title: str, detail: str) -> Failure:
    """Describe why a job failed."""
    return Failure(type=problem_type(name), title=title, detail=detail)


OWNER_DIED = failure(
    "consumer-died", "The consumer died", "The consumer that worked on this job died."
)
OWNER_STUCK = failure(
    "consumer-stuck",
    "The consumer was stuck",
    "The consumer that worked on this job took far longer than an engine may.",
)
