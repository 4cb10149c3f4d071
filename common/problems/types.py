"""What a problem type is."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from common.jobs import Failure

_PREFIX: Final = "urn:darkroom:problem:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem type.

    Args:
        name: The last part of its URN.
        title: What kind of problem it is: the same for every occurrence.
        in_jobs: What happened to a failed job that carries it, for docs/problems.md; empty if
            none does.
    """

    name: str
    title: str
    in_jobs: str = ""

    @property
    def type(self) -> str:
        """The URN that names it in answers and records."""
        return _PREFIX + self.name

    def failure(self, detail: str) -> Failure:
        """Describe why a job failed."""
        return Failure(type=self.type, title=self.title, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProblem(Problem):
    """A problem type that answers carry.

    Args:
        status: Of the answers.
        in_answers: When the API answers with it, or what to do then, for docs/problems.md; empty
            if it never does.
        from_nginx: The same for the answers of nginx itself.
    """

    status: HTTPStatus
    in_answers: str = ""
    from_nginx: str = ""


def of_http(status: HTTPStatus, *, in_answers: str = "", from_nginx: str = "") -> HttpProblem:
    """Return the problem type that is named after an HTTP status and says no more."""
    return HttpProblem(
        name=status.phrase.lower().replace(" ", "-"),
        title=status.phrase,
        status=status,
        in_answers=in_answers,
        from_nginx=from_nginx,
    )
