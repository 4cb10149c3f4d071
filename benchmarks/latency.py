"""The latency of an idle service, over that of its model alone in one process.

One image at a time is handed in by a request that waits for its result; then by one that does
not, and is asked for every two milliseconds, which itself takes half a core. In between, the
same image goes through the same model in this process. What else the machine does meets all.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, Final

from benchmarks import material
from benchmarks.alone import served_by, whole
from benchmarks.client import Connection
from benchmarks.figures import percentile, short
from benchmarks.plan import Configuration, Plan
from benchmarks.result import PartResult, Table, Target, at_most
from benchmarks.system import running_system, settings_for
from engine.models.classifier import Classifier
from engine.models.paths import ModelPaths
from standalone.settings import ROOT

_POLL_S: Final = 0.002
_WARM_UP: Final = 10
_MOST_MS: Final = {"median": 12, "p95": 25}

# One image through the service, and once without it; all in milliseconds.
# bare: through the model alone, in this process.
# service: from the submission to its answer, which has the result; over: beyond bare.
# queue, inference: until the job was claimed, and in the engine, by the service's own account.
# post: until a submission that does not wait was answered.
# polled: from such a submission to the answer that has the result; polled_over: beyond bare.
Trip = Mapping[str, float]


def run(plan: Plan) -> PartResult:
    """Send single images through a service that has nothing else to do."""
    image = material.photograph(plan.size) if plan.image is None else plan.image.read_bytes()
    with _service(plan) as (url, where):
        model = served_by("onnx", plan.model, where)
        if model is None:
            raise RuntimeError(f"{plan.model} is not served by onnxruntime")
        connection = Connection(url)
        for _ in range(_WARM_UP):
            _trip(model, connection, image, plan.model)
        trips = [_trip(model, connection, image, plan.model) for _ in range(plan.runs)]
    columns = {name: [trip[name] for trip in trips] for name in trips[0]}
    table = Table(
        caption="One image at a time through an idle service, ms",
        head=("what", "median", "p95", "p99", "least"),
        rows=[
            (name, median(ms), percentile(ms, 95), percentile(ms, 99), min(ms))
            for name, ms in columns.items()
        ],
    )
    targets = tuple(_targets(columns["over"]))
    return PartResult(part="latency", tables=(table,), targets=targets, figures={"ms": columns})


@contextmanager
def _service(plan: Plan) -> Iterator[tuple[str, ModelPaths]]:
    """Yield the address of a service, and where its models are: one of our own, or another."""
    if plan.url:
        yield plan.url, ModelPaths(ROOT / "models", ROOT / ".darkroom" / "weights")
        return
    where = material.paths(plan.folder)
    material.write_model(plan.model, where)
    with (
        running_system(plan.folder / "latency", settings_for(plan.model, plan.folder)) as system,
        system.consuming(Configuration(runtime="onnx")),
    ):
        yield system.url, where


def _trip(classifier: Classifier, connection: Connection, image: bytes, model: str) -> Trip:
    started_s = time.perf_counter()
    whole(classifier, image)
    bare_ms = _ms_since(started_s)
    started_s = time.perf_counter()
    job = connection.post_and_wait(image, model=model, content_type="image/*")
    service_ms = _ms_since(started_s)
    if not _is_done(job):
        raise RuntimeError(f"job {job['id']} is still {job['state']}")
    started_s = time.perf_counter()
    job_id = connection.post(image, model=model, content_type="image/*")
    post_ms = _ms_since(started_s)
    while not _is_done(connection.job(job_id)):
        time.sleep(_POLL_S)
    polled_ms = _ms_since(started_s)
    return {
        "bare": bare_ms,
        "service": service_ms,
        "over": service_ms - bare_ms,
        "queue": job["result"]["queue_ms"],
        "inference": job["result"]["inference_ms"],
        "post": post_ms,
        "polled": polled_ms,
        "polled_over": polled_ms - bare_ms,
    }


def _ms_since(started_s: float) -> float:
    return (time.perf_counter() - started_s) * 1000


def _is_done(job: Mapping[str, Any]) -> bool:
    if job["state"] == "failed":
        raise RuntimeError(f"job {job['id']} failed: {job['error']}")
    return bool(job["state"] == "done")


def _targets(over_ms: Sequence[float]) -> Iterator[Target]:
    for name, value in (("median", median(over_ms)), ("p95", percentile(over_ms, 95))):
        what = f"idle latency over the model alone: {name} at most {_MOST_MS[name]} ms"
        yield at_most(what, _MOST_MS[name], value, f"{short(value)} ms")
