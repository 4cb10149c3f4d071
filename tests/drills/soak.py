"""A drill that only works for a long time, to see whether anything grows."""

import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final

from testbed import variety
from testbed.echo import Order
from testbed.gauge import Gauge, Line, more
from testbed.system import CALM, Plan
from tests.drills.drill import Drill, Run

_LENGTH_S, _SHORT_LENGTH_S = 900.0, 120.0
_WARM_UP_S, _SHORT_WARM_UP_S = 90.0, 30.0
_WARM_WITHIN_S: Final = 400.0
_JUDGED_S: Final = 45.0  # a process that ran for less after its warm-up is not judged
_A_SECOND: Final = 4.0  # jobs, on average
_CRASH_EVERY_S: Final = 240.0
_AT_ONCE: Final = 4
# Enough at first, without pauses, to bring every pool and heap to its full size.
_BURST: Final = 250
# Enough for every thread of the API to see a large image before the measurement begins.
_LARGE: Final = 60
# In two minutes a heap that settles looks like a small leak.
_MOST_BYTES_A_MINUTE, _SHORT_MOST_BYTES_A_MINUTE = 1e6, 2e6
_MEGABYTE: Final = 1e6
# By default glibc keeps the memory of freed images, some 10 MB a process. What it keeps varies,
# which can look like a leak, and a real leak fills it unnoticed. Source: man 3 mallopt.
_RETURN_FREED_MEMORY: Final = {"MALLOC_MMAP_THRESHOLD_": "65536"}
_REFUSED: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
_FAILED: Final = frozenset({"failed"})


def _soak(run: Run) -> None:
    """Send images of all kinds, and measure each process."""
    length_s = _SHORT_LENGTH_S if run.short else _LENGTH_S
    warm_up_s = _SHORT_WARM_UP_S if run.short else _WARM_UP_S
    _warm_up(run)
    with Gauge(run.system).watching() as gauge:
        _keep_busy(run, length_s)
    run.notes["seconds of load"] = length_s
    _judge(run, gauge.lines, warm_up_s)
    for what, counts in (("connections", gauge.connections), ("channels", gauge.channels)):
        grown = more(counts[round(len(counts) * warm_up_s / length_s) :])
        run.notes[f"more {what}"] = grown
        run.expect(grown <= 0, f"{grown} more {what} to RabbitMQ")


def _warm_up(run: Run) -> None:
    """Send many images of all kinds, one of which crashes the engine, and wait for their ends."""
    _crash(run)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sent = [pool.submit(_send, run, _draw(run)) for _ in range(_BURST)]
        sent += [pool.submit(_send, run, _draw_large(run)) for _ in range(_LARGE)]
    for one in sent:
        one.result()
    run.wait_for_all_ends(within_s=_WARM_WITHIN_S)


def _keep_busy(run: Run, length_s: float) -> None:
    begin_s = time.monotonic()
    crashes = 1  # the first is over
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sent = []
        while (passed_s := time.monotonic() - begin_s) < length_s:
            if passed_s >= crashes * _CRASH_EVERY_S:
                crashes += 1
                sent.append(pool.submit(_crash, run))
            sent.append(pool.submit(_send, run, _draw(run)))
            time.sleep(run.chance.expovariate(_A_SECOND))
    for one in sent:
        one.result()
    run.notes["crashes"] = crashes
    run.notes["requests"] = _BURST + _LARGE + len(sent)


def _draw_large(run: Run) -> variety.Sent:
    return variety.large(run.chance, run.ledger.next_number())


def _draw(run: Run) -> variety.Sent:
    return variety.draw(run.chance, run.ledger.next_number())


def _crash(run: Run) -> None:
    run.clients.submit(Order.CRASH, states=_FAILED, problem="engine-died")


def _send(run: Run, sent: variety.Sent) -> None:
    image, expectation = sent
    if expectation is not None:
        run.clients.post(image, expectation)
        return
    status = run.clients.status_of(image)
    run.expect(status in _REFUSED, f"no image, and the answer is {status}")


def _judge(run: Run, lines: list[Line], warm_up_s: float) -> None:
    """Expect that our own processes do not grow."""
    judged = [line.after(warm_up_s) for line in lines if line.seconds >= warm_up_s + _JUDGED_S]
    servers = {run.system.broker.program.name, run.system.store.program.name}
    ours = [line for line in judged if line.name not in servers]
    run.notes["MB a minute"] = {
        line.name: round(line.bytes_per_minute() / _MEGABYTE, 2) for line in judged
    }
    missing = {line.name for line in lines} - {line.name for line in judged}
    run.expect(not missing, f"not seen for long enough: {missing}")
    most = _SHORT_MOST_BYTES_A_MINUTE if run.short else _MOST_BYTES_A_MINUTE
    for line in ours:
        slope = line.bytes_per_minute()
        run.expect(
            slope < most,
            f"{line.name} grows by {slope / _MEGABYTE:.1f} MB a minute",
        )
        run.expect(line.more_threads() <= 0, f"{line.name}: {line.more_threads()} more threads")
        run.expect(line.more_files() <= 0, f"{line.name}: {line.more_files()} more open files")


DRILLS = (
    Drill(
        name="soak",
        harm="15 minutes (2 with --short) of images of all kinds, good and bad: nothing may grow",
        do=_soak,
        plan=Plan(
            consumers=2,
            has_own_broker=True,  # whose connections are counted
            settings={**CALM, "DARKROOM_MAX_ATTEMPTS": "3", **_RETURN_FREED_MEMORY},
        ),
        burns_attempts=False,
    ),
)
