"""The engine itself: the child process that decodes images and runs models."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Final, Protocol

import structlog

from common import logs
from engine.decode_clock import DecodeClock
from engine.freed_memory import FreedMemory, keep_freed_memory
from engine.guard import leave_guard_behind
from engine.outgoing import cleaned_models, cleaned_reply
from engine.protocol import OUT_OF_MEMORY, EngineConfig, Question, Ready, Reply, Started

log = structlog.stdlib.get_logger(__name__)

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_FIRST_TO_GO: Final = "1000"  # https://man7.org/linux/man-pages/man5/proc_pid_oom_score_adj.5.html

_Questions = tuple[Question, ...]


class _Batch(Protocol):
    def answer(self) -> tuple[Reply, ...]: ...


@dataclass(frozen=True, slots=True)
class Line:
    """How the parent asks: one batch of questions at a time, and it sees what is decoded."""

    connection: Connection
    clock: DecodeClock


def serve(lines: Sequence[Line], config: EngineConfig) -> None:
    """Load the models, say so, and answer questions until the parent hangs up."""
    leave_guard_behind()
    lines[0].connection.send(Started(os.getpid()))
    die_first()
    _pass_over_stop_signals()
    # As Python has it where nobody asks: a spawned process spawns, whatever the platform's way.
    multiprocessing.set_start_method(None, force=True)
    logs.configure(role="engine", level=config.log_level, style=config.log_format)
    # Threads that spin while they wait for each other take the cores that api and servers need:
    # docs/adr/0011-one-thread-a-core.md. OpenMP, and torch with it, reads this once, when it
    # is loaded.
    os.environ["OMP_NUM_THREADS"] = str(config.threads)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # Only here: the parent imports this module too, and shall stay light.
    from engine.inference import Models  # noqa: PLC0415

    models = Models.load(config)
    # Not what loading took, too.
    keep_freed_memory()
    lines[0].connection.send(Ready(cleaned_models(models.served)))

    def prepare(line: Line, questions: _Questions) -> _Batch:
        return models.prepare(questions, decoding=line.clock.decoding)

    _answer(lines, prepare, beside=config.threads > 1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Questions that came over a connection; if they were prepared beside, how that ended."""

    connection: Connection
    prepare: Callable[[], _Batch]


def _answer(
    lines: Sequence[Line],
    prepare: Callable[[Line, _Questions], _Batch],
    *,
    beside: bool,
) -> None:
    """Answer what comes over any line, in the main thread: predictors may depend on it.

    Images are decoded *beside*, while it computes, if there is a core for that. On one core
    that would only make the batch in hand take longer.
    """
    asked: SimpleQueue[_Asked | None] = SimpleQueue()
    for line in lines:
        listen = partial(_listen, line, asked, prepare, beside=beside)
        Thread(target=listen, name="listener", daemon=True).start()
    freed = FreedMemory()
    while (batch := asked.get()) is not None:
        with _ending_without_memory():
            replies = batch.prepare().answer()
        batch.connection.send(tuple(map(cleaned_reply, replies)))
        del batch, replies  # an image may be large, and the next one far away
        freed.return_excess(is_idle=asked.empty())


def _listen(
    line: Line,
    asked: SimpleQueue[_Asked | None],
    prepare: Callable[[Line, _Questions], _Batch],
    *,
    beside: bool,
) -> None:
    connection = line.connection
    while True:
        try:
            questions: _Questions = connection.recv()
        except (EOFError, OSError):
            asked.put(None)
            return
        except MemoryError as exc:
            asked.put(_Asked(connection, partial(_raise, exc)))
            return
        prepared = partial(prepare, line, questions)
        asked.put(_Asked(connection, _outcome(prepared) if beside else prepared))
        del questions, prepared


def _outcome(prepare: Callable[[], _Batch]) -> Callable[[], _Batch]:
    """Prepare now, and return what gives the result, or raises the error, in another thread."""
    try:
        batch = prepare()
    except BaseException as exc:  # noqa: BLE001 (raised again there)
        return partial(_raise, exc)
    return lambda: batch


def _raise(error: BaseException) -> _Batch:
    raise error


@contextmanager
def _ending_without_memory() -> Iterator[None]:
    try:
        yield
    except MemoryError:
        log.exception("the engine could not allocate memory")
        sys.exit(OUT_OF_MEMORY)


def _pass_over_stop_signals() -> None:
    """Do nothing at SIGTERM and SIGINT: the parent decides when the engine ends.

    What a predictor starts ends by them as ever, or ``Pool.terminate`` would wait for ever. So
    they are neither ignored nor blocked, which new processes and programs would take over.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    os.register_at_fork(
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, _STOP_SIGNALS),
        after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, _STOP_SIGNALS),
        after_in_child=_hear_stop_signals,
    )


def _hear_stop_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # One that came since the fork was held back. Passed over, it would be lost: a pool that is
    # ended at once would wait for ever for this process.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def die_first() -> None:
    """Have the kernel choose this process, and what it forks, when memory runs out."""
    if sys.platform == "linux":
        with suppress(OSError):  # a /proc that is read-only; then the kernel chooses as ever
            Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
