"""Records of other versions, and damaged ones."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from common.jobs import Idempotency, Job, JobState, OwnerId, Result, Setback
from common.mongo.documents import to_document
from common.problems.failures import OWNER_DIED, OWNER_STUCK
from tests.examples import JOB_ID, OWNER, TABBY, a_job

Document = dict[str, Any]
Path = tuple[str | int, ...]

LATER: Final = "later"  # the member that only a later version knows
KEY: Final = "8e03978e"

FULL_JOB: Final = replace(
    a_job(
        JOB_ID,
        metadata={"shelf": 3},
        idempotency=Idempotency(key=KEY, fingerprint="f" * 64),
        attempts=1,
        fence=2,
        setbacks=(Setback(attempt=1, owner=OwnerId("gone"), reason=OWNER_STUCK),),
    ),
    result=Result(
        predictions=(TABBY, TABBY),
        model="digits",
        model_version="sha256:0",
        queue_ms=1.5,
        inference_ms=2.5,
    ),
    error=OWNER_DIED,
    started_at=datetime(2026, 1, 2, tzinfo=UTC),
)


def objects_in(value: Any, path: Path = ()) -> Iterator[Path]:
    """Return the path of every object in a document, including the document itself."""
    if isinstance(value, Mapping):
        yield path
        for name, member in value.items():
            yield from objects_in(member, (*path, name))
    if isinstance(value, list | tuple):
        for place, member in enumerate(value):
            yield from objects_in(member, (*path, place))


def at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def with_later_members(document: Document, *paths: Path) -> Document:
    """Add a member to the objects at *paths*."""
    later = copy.deepcopy(document)
    for path in paths:
        # Metadata are flat, in every version.
        at(later, path)[LATER] = 1 if path == ("metadata",) else {"of": ["a later", "version"]}
    return later


def document_of(job: Job, **members: Any) -> Document:
    """Return a job as MongoDB would return it: with lists."""
    document = _listed(to_document(job))
    return {**document, **members}


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _listed(member) for name, member in value.items()}
    return [_listed(member) for member in value] if isinstance(value, list | tuple) else value


def _without(*path: str | int) -> Callable[[Document], None]:
    def damage(document: Document) -> None:
        del at(document, path[:-1])[path[-1]]

    return damage


def _with(value: Any, *path: str | int) -> Callable[[Document], None]:
    def damage(document: Document) -> None:
        at(document, path[:-1])[path[-1]] = value

    return damage


def _keep_only_its_place(document: Document) -> None:
    places = ("_id", "state", "publish_due_ms", "waiting_ms", "finished_ms", "pending_since_ms")
    for name in document.keys() - places:
        del document[name]


# What makes FULL_JOB's record one that this version cannot read.
DAMAGES: Final[Mapping[str, Callable[[Document], None]]] = {
    "unknown state": _with("resting", "state"),
    "no state": _without("state"),
    "no image": _without("image"),
    "no width": _without("image", "width"),
    "text as width": _with("wide", "image", "width"),
    "text as image": _with("a cat", "image"),
    "text as fence": _with("2", "fence"),
    "text as attempts": _with("many", "attempts"),
    "no attempts": _without("attempts"),
    "no top_k": _without("top_k"),
    "a list as metadata": _with([1], "metadata"),
    "nested metadata": _with({"a": {"b": 1}}, "metadata"),
    "a number as result": _with(7, "result"),
    "no predictions": _without("result", "predictions"),
    "text as predictions": _with("tabby", "result", "predictions"),
    "half a prediction": _without("result", "predictions", 0, "label"),
    "half an error": _without("error", "title"),
    "text as error": _with("it died", "error"),
    "text as setbacks": _with("none", "setbacks"),
    "half a setback": _with([{"attempt": 1}], "setbacks"),
    "half a key": _without("idempotency", "fingerprint"),
    "text as time": _with("yesterday", "created_at"),
    "a time without a zone": _with("2026-01-02T03:04:05", "created_at"),
    "nothing of a job": _keep_only_its_place,
}


def damaged(document: Document, damage: str) -> Document:
    """Make *document* unreadable in one way."""
    broken = copy.deepcopy(document)
    DAMAGES[damage](broken)
    return broken


def in_state(job: Job, state: JobState) -> Job:
    """Put a job into *state*, whatever its history."""
    return replace(job, state=state, owner=OWNER if state is JobState.PROCESSING else None)
