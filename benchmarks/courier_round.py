"""What a round of the courier costs among many records: ``python benchmarks/courier_round.py``.

Starts an embedded store of its own, fills it with finished jobs and some that wait or are
being worked on, and times every duty of rounds in which nothing is due. RabbitMQ's part, a
passive declare and a get, is not in it.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pymongo import WriteConcern

sys.path.insert(0, str(Path(__file__).parent.parent))

from common.jobs import OwnerId, Prediction, Result, new_job_id
from common.messages import ClassifyMessage
from common.mongo.connection import Document, ServerClock, connect, open_database
from common.mongo.documents import to_document
from common.mongo.images import MongoImages
from common.mongo.jobs import MongoJobStore
from common.mongo.workers import MongoWorkerRegistry
from courier.lost import Evidence, LostMessages
from courier.orphans import OrphanedImages
from courier.relay import relay
from courier.rescue import Rescuer
from embedded.store import EmbeddedStore
from tests.examples import a_job, a_worker
from tests.servers import free_port, running

_AT_ONCE = 2000
_LEASE_S = 15.0
_OWNERS = [OwnerId(f"here-{number}-0a0b0c0d") for number in range(8)]
_RESULT = Result(
    predictions=tuple(Prediction(f"a label of some length {n}", 0.5 / (n + 1)) for n in range(5)),
    model="resnet50",
    model_version="sha256:42dc0cb33814b927",
    queue_ms=12.25,
    inference_ms=31.5,
)


class NoPublisher:
    """Nothing is due, so nothing is published."""

    def publish(self, message: ClassifyMessage) -> None:
        raise AssertionError(f"{message} was not due")


def main() -> None:
    arguments = _parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(folder=Path(folder), port=free_port())
        store.prepare()
        with running(store.program()), connect(store.url, timeout_s=600) as client:
            database = open_database(client, "darkroom")
            now_ms = ServerClock(database).now_ms
            jobs = MongoJobStore(database, now_ms=now_ms, publish_after_s=5)
            images = MongoImages(database)
            workers = MongoWorkerRegistry(database, now_ms=now_ms, lease_s=10**6)
            started_s = time.perf_counter()
            hastily = database["jobs"].with_options(write_concern=WriteConcern(w=1))
            documents = _documents(arguments, now_ms())
            while some := list(islice(documents, _AT_ONCE)):
                hastily.insert_many(some, ordered=False)
            for each in (jobs, images, workers):
                each.ensure_indexes()
            for owner in _OWNERS:
                workers.beat(a_worker(owner))
            _say(f"filled in {time.perf_counter() - started_s:.0f} s")
            duties = _duties(jobs, images, workers, now_ms)
            _report(arguments, [_round_ms(duties) for _ in range(arguments.rounds + 1)][1:])


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--waiting", type=int, default=500)
    parser.add_argument("--processing", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=60)
    return parser.parse_args()


def _documents(arguments: argparse.Namespace, now_ms: int) -> Iterator[Document]:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    waiting = a_job(created_at=now, published_at=now, metadata={"album": "x"})
    claimed = replace(waiting.claim(_OWNERS[0]), started_at=now)
    done = replace(claimed.succeed(_RESULT), finished_at=now)
    entered = {"pending_since_ms": now_ms}
    yield from _copies(arguments.finished, to_document(done) | entered | {"finished_ms": now_ms})
    yield from _copies(arguments.waiting, to_document(waiting) | entered | {"waiting_ms": now_ms})
    yield from _copies(arguments.processing, to_document(claimed) | entered)


def _copies(count: int, document: Document) -> Iterator[Document]:
    return (document | {"_id": new_job_id()} for _ in range(count))


def _duties(
    jobs: MongoJobStore,
    images: MongoImages,
    workers: MongoWorkerRegistry,
    now_ms: Callable[[], int],
) -> dict[str, Callable[[], object]]:
    evidence = Evidence()
    rescuer = Rescuer(
        outbox=jobs, registry=workers, now_ms=now_ms, max_attempts=3, overdue_s=3600, confirm_s=0
    )
    lost = LostMessages(
        outbox=jobs, evidence=evidence, can_publish=lambda: True, lease_s=_LEASE_S, at_most=500
    )
    # So that it looks from the first round on, as it does after its first lease.
    lost.clock_s = iter(range(0, 10**9, int(_LEASE_S))).__next__
    orphans = OrphanedImages(images=images, now_ms=now_ms)
    return {
        "rescue": rescuer.rescue,
        "lost": lost.publish_again,
        "relay": lambda: relay(jobs, NoPublisher(), at_most=500),
        "expire": lambda: jobs.expire(retention_s=86_400),
        "orphans": orphans.delete,
    }


def _round_ms(duties: dict[str, Callable[[], object]]) -> dict[str, float]:
    times_ms = {}
    for name, duty in duties.items():
        started_s = time.perf_counter()
        if duty():
            raise AssertionError(f"{name} had something to do")
        times_ms[name] = (time.perf_counter() - started_s) * 1000
    return times_ms | {"round": sum(times_ms.values())}


def _report(arguments: argparse.Namespace, rounds: list[dict[str, float]]) -> None:
    figures = {name: _summary([each[name] for each in rounds]) for name in rounds[0]}
    _say(f"{'ms':10}{'median':>10}{'p95':>10}{'max':>10}")
    for name, figure in figures.items():
        _say(f"{name:10}" + "".join(f"{value:10.2f}" for value in figure.values()))
    print(json.dumps({**vars(arguments), "ms": figures}))  # noqa: T201


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[int(len(ordered) * 0.95)], 2),
        "max": round(ordered[-1], 2),
    }


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
