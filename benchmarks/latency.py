"""The latency of an idle service, over that of its model alone in one process.

One image at a time is handed in by a request that waits for its result; then by one that does
not, and is asked for every two milliseconds, which itself takes half a core. In between, the
same image goes through the same model in this process. What else the machine does meets all.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from benchmarks import material
from benchmarks.bare import served_by, whole
from benchmarks.client import Connection
from benchmarks.figures import percentile, short
from benchmarks.outcome import Outcome, Table, Target
from benchmarks.plan import Configuration, Plan
from benchmarks.system import running_system, settings_for
from embedded.settings import ROOT
from engine.models.places import Places

_POLL_S: Final = 0.002
_WARM_UP: Final = 10
_MOST_MEDIAN_MS: Final = 12
_MOST_P95_MS: Final = 25
_OTHERS_WEIGHTS: Final = ROOT / ".darkroom" / "weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One image through the service, and once without it; all in milliseconds.

    Args:
        bare: Through the model alone, in this process.
        service: From the submission to its answer, which has the result.
        over: What the service took beyond.
        queue: Until the job was claimed, by the service's own account.
        inference: In the engine, likewise.
        post: Until a submission that does not wait was answered.
        polled: From such a submission to the answer that has the result.
        polled_over: What the service took beyond, then.
    """

    bare: float
    service: float
    over: float
    queue: float
    inference: float
    post: float
    polled: float
    polled_over: float


def run(plan: Plan) -> Outcome:
    """Send single images through a service that has nothing else to do."""
    image = material.photograph(plan.size) if plan.image is None else plan.image.read_bytes()
    with _service(plan) as url:
        model = served_by("onnx", plan.model, _places(plan))
        if model is None:
            raise RuntimeError(f"{plan.model} is not served by onnxruntime")
        connection = Connection(url)
        trips = []
        for _ in range(_WARM_UP + plan.runs):
            bare_ms = _timed_ms(lambda: whole(model, image))
            trips.append(_through(connection, image, plan.model, bare_ms))
    trips = trips[_WARM_UP:]
    columns = {name: [getattr(trip, name) for trip in trips] for name in Trip.__slots__}
    return Outcome(
        part="latency",
        tables=(_table(columns),),
        targets=tuple(_targets(columns["over"])),
        figures={"ms": columns},
    )


@contextmanager
def _service(plan: Plan) -> Iterator[str]:
    """Yield the address of the service: one that runs already, or one of our own."""
    if plan.url:
        yield plan.url
        return
    material.write_model(plan.model, material.places(plan.folder))
    with ExitStack() as stack:
        settings = settings_for(plan.model, plan.folder)
        system = stack.enter_context(running_system(plan.folder / "latency", settings))
        stack.enter_context(system.consuming(Configuration(runtime="onnx")))
        yield system.url


def _places(plan: Plan) -> Places:
    return Places(ROOT / "models", _OTHERS_WEIGHTS) if plan.url else material.places(plan.folder)


def _through(connection: Connection, image: bytes, model: str, bare_ms: float) -> Trip:
    service_ms, job = _waited(connection, image, model)
    post_ms, polled_ms = _polled(connection, image, model)
    return Trip(
        bare=bare_ms,
        service=service_ms,
        over=service_ms - bare_ms,
        queue=job["result"]["queue_ms"],
        inference=job["result"]["inference_ms"],
        post=post_ms,
        polled=polled_ms,
        polled_over=polled_ms - bare_ms,
    )


def _waited(connection: Connection, image: bytes, model: str) -> tuple[float, dict[str, Any]]:
    started_s = time.perf_counter()
    job = connection.post_and_wait(image, model=model, content_type="image/*")
    service_ms = (time.perf_counter() - started_s) * 1000
    if not _is_done(job):
        raise RuntimeError(f"job {job['id']} is still {job['state']}")
    return service_ms, job


def _polled(connection: Connection, image: bytes, model: str) -> tuple[float, float]:
    started_s = time.perf_counter()
    job_id = connection.post(image, model=model, content_type="image/*")
    post_ms = (time.perf_counter() - started_s) * 1000
    while not _is_done(connection.job(job_id)):
        time.sleep(_POLL_S)
    return post_ms, (time.perf_counter() - started_s) * 1000


def _is_done(job: dict[str, Any]) -> bool:
    if job["state"] == "failed":
        raise RuntimeError(f"job {job['id']} failed: {job['error']}")
    return bool(job["state"] == "done")


def _timed_ms(step: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    step()
    return (time.perf_counter() - started_s) * 1000


def _table(columns: dict[str, list[float]]) -> Table:
    rows = tuple(
        (
            name,
            short(median(values)),
            short(percentile(values, 95)),
            short(percentile(values, 99)),
            short(min(values)),
        )
        for name, values in columns.items()
    )
    return Table(
        caption="One image at a time through an idle service, ms",
        head=("what", "median", "p95", "p99", "least"),
        rows=rows,
    )


def _targets(over_ms: list[float]) -> Iterator[Target]:
    for what, value, most in (
        ("median", median(over_ms), _MOST_MEDIAN_MS),
        ("p95", percentile(over_ms, 95), _MOST_P95_MS),
    ):
        yield Target(
            what=f"idle latency over the model alone: {what} at most {most} ms",
            measured=f"{short(value)} ms",
            is_met=value <= most,
        )
