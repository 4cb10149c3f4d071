"""The page of problem types: ``python -m common.problems.page`` writes docs/problems.md."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from common.problems.catalogue import CATALOGUE
from common.problems.types import HttpProblem

PATH: Final = Path(__file__).parents[2] / "docs" / "problems.md"

_PAGE: Final = """\
# Problem types

<!-- Written by `python -m common.problems.page` from common/problems/. -->

Errors are problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) of the media type \
`application/problem+json`, with `type`, `title`, `status` and `detail`. The `type` is \
`urn:darkroom:problem:` and one of these names. A failed job carries one too, without `status`, \
as its `error`.

## In answers

{answers}

Others (`not-found`, `method-not-allowed`, ...) are named after the HTTP status itself. nginx \
answers some requests before they reach the API, in the same form:

{nginx}

## In failed jobs

{jobs}
"""
_ANSWERS_HEAD: Final = ("name", "status", "title", "what to do")
_JOBS_HEAD: Final = ("name", "title", "what happened")


def page() -> str:
    """Return the page, in Markdown."""
    of_http = [one for one in CATALOGUE if isinstance(one, HttpProblem)]
    return _PAGE.format(
        answers=_table(
            _ANSWERS_HEAD,
            ((*_columns(one), one.in_answers) for one in of_http if one.in_answers),
        ),
        nginx=_table(
            _ANSWERS_HEAD,
            ((*_columns(one), one.from_nginx) for one in of_http if one.from_nginx),
        ),
        jobs=_table(
            _JOBS_HEAD,
            ((f"`{one.name}`", one.title, one.in_jobs) for one in CATALOGUE if one.in_jobs),
        ),
    )


def _columns(problem: HttpProblem) -> tuple[str, ...]:
    return f"`{problem.name}`", str(problem.status.value), problem.title


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    PATH.write_text(page())
