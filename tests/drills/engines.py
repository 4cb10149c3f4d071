"""Drills with images that make the engine hang, crash, or use all memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import psutil

from common.memory import MEBIBYTE
from testbed.echo import Order
from testbed.processes import engines_of
from testbed.server import Server
from testbed.system import CALM, Plan
from tests.drills.audit import Findings
from tests.drills.drill import Drill, Run

_ATTEMPTS: Final = 3
_ORDINARY: Final = 60
_BAD: Final = 2
_FAILED: Final = frozenset({"failed"})
_ENDED_WITHIN_S: Final = 300.0

# Enough for an ordinary image on a busy machine: it must need one attempt.
_TIME_LIMIT_S: Final = 4
_MEMORY_LIMIT_MB: Final = 600
# What an engine may allocate between two measurements.
_MORE_MB: Final = 500
_LOOK_EVERY_S: Final = 0.01


def _mix(run: Run, order: Order, problem: str) -> None:
    """Submit bad images among ordinary ones, and wait for all ends."""
    orders = [order] * _BAD + [Order.ANSWER] * _ORDINARY
    run.chance.shuffle(orders)
    for one in orders:
        if one is Order.ANSWER:
            run.clients.submit()
        else:
            run.clients.submit(one, states=_FAILED, problem=problem)
    run.wait_for_all_ends(within_s=_ENDED_WITHIN_S)


def _mix_and_measure(run: Run) -> None:
    with _largest_engine(run.system.consumers) as largest_bytes:
        _mix(run, Order.EAT, "engine-memory")
    largest_mb = max(largest_bytes) // MEBIBYTE
    run.notes["limit, MB"], run.notes["largest engine, MB"] = _MEMORY_LIMIT_MB, largest_mb
    run.expect(
        _MEMORY_LIMIT_MB < largest_mb < _MEMORY_LIMIT_MB + _MORE_MB,
        f"an engine had {largest_mb} MB at a limit of {_MEMORY_LIMIT_MB} MB",
    )


@contextmanager
def _largest_engine(consumers: list[Server]) -> Iterator[list[int]]:
    """Record the largest size of engines, in bytes, until the end of the block."""
    seen = [0]
    ending = threading.Event()

    def watch() -> None:
        engines: list[psutil.Process] = []
        while not ending.wait(_LOOK_EVERY_S):
            try:
                seen[0] = max([seen[0], *(engine.memory_info().rss for engine in engines)])
            except psutil.NoSuchProcess:
                engines = []
            if len(engines) < len(consumers):  # to find them takes longer than to look at them
                engines = list(_engines(consumers))

    watching = threading.Thread(target=watch, name="largest-engine")
    watching.start()
    try:
        yield seen
    finally:
        ending.set()
        watching.join()


def _engines(consumers: list[Server]) -> Iterator[psutil.Process]:
    for consumer in consumers:
        for pid in engines_of(consumer.pid):
            with suppress(psutil.NoSuchProcess):  # it is dead by now
                yield psutil.Process(pid)


def _check_attempts(run: Run, _findings: Findings) -> None:
    """Expect that the bad jobs had all their attempts and say so."""
    with run.system.database() as database:
        failed = list(database["jobs"].find({"state": "failed"}))
    for job in failed:
        reasons = {setback["reason"]["type"] for setback in job["setbacks"]}
        run.expect(
            len(job["setbacks"]) == job["attempts"] == _ATTEMPTS
            and reasons == {job["error"]["type"]},
            f"{job['_id']}: {job['attempts']} attempts, which ended with {reasons}",
        )


def _plan(**settings: float) -> Plan:
    given = {"MAX_ATTEMPTS": _ATTEMPTS, **settings}
    return Plan(
        consumers=2,
        settings={**CALM, **{f"DARKROOM_{name}": str(value) for name, value in given.items()}},
    )


DRILLS = (
    Drill(
        name="hang",
        harm=f"{_BAD} images over which the engine hangs in native code, among others",
        do=partial(_mix, order=Order.HANG, problem="engine-timeout"),
        plan=_plan(JOB_TIME_LIMIT_S=_TIME_LIMIT_S),
        burns_attempts=False,
        check=_check_attempts,
    ),
    Drill(
        name="crash",
        harm=f"{_BAD} images over which the engine crashes, among others",
        do=partial(_mix, order=Order.CRASH, problem="engine-died"),
        plan=_plan(),
        burns_attempts=False,
        check=_check_attempts,
    ),
    Drill(
        name="memory",
        harm=f"{_BAD} images over which the engine takes all memory, among others",
        do=_mix_and_measure,
        # On a busy machine it may take its time to take all memory.
        plan=_plan(ENGINE_MEMORY_LIMIT_MB=_MEMORY_LIMIT_MB, JOB_TIME_LIMIT_S=60),
        burns_attempts=False,
        check=_check_attempts,
    ),
)
