"""One engine process from its start to its end, and the limits that it is held to."""

import math
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Final

import structlog

from common.memory import descendants_of, held_bytes
from common.workers import ServedModel
from consumer.engines.memory_limit import MemoryLimit, in_mib
from consumer.errors import (
    DecodeOverdueError,
    EngineDiedError,
    EngineLostError,
    EngineMemoryError,
    EngineTimeoutError,
)
from engine import guard
from engine.decode_clock import DecodeClock
from engine.protocol import OUT_OF_MEMORY, EngineConfig, Question, Ready, Reply, Started
from engine.serve import Line as EngineLine
from engine.serve import serve

log = structlog.stdlib.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.05
# How long an end may take: of a process that was killed, or that was asked to end.
END_WITHIN_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What an engine may take: over the first three it is killed, over the others replaced.

    Args:
        start_s: To load and warm its models.
        job_s: Over the questions that are asked together, from sending them to the replies.
        memory_bytes: At any time, with what it started; 0: no limit.
        max_jobs: Questions before it is replaced; 0: no limit.
        max_resident_bytes: Memory between two questions; 0: no limit.
    """

    start_s: float
    job_s: float
    memory_bytes: int = 0
    max_jobs: int = 0
    max_resident_bytes: int = 0


class RetiredError(Exception):
    """The process takes no more questions; its successor will."""


class _Line:
    """One connection to the process, for one batch of questions at a time."""

    def __init__(self, connection: Connection, clock: DecodeClock) -> None:
        self.connection = connection
        self.clock = clock
        # Why the process was killed over an image of these questions, if it was.
        self.guilty: DecodeOverdueError | None = None
        # Guarded by the child's lock: a reply may arrive in the moment in which its time is up.
        self.due_s = math.inf
        self.overdue = ""

    def hang_up(self) -> None:
        """Shut the connection down: for both ends, and whoever else holds it open."""
        with suppress(OSError), socket.socket(fileno=os.dup(self.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


class EngineProcess:
    """One process, which a thread of its own watches.

    The watcher alone enforces the limits, by killing. Senders and receivers block meanwhile. The
    end of the process unblocks them, even in the middle of a question that it never reads.

    Args:
        config: What the process is told.
        limits: What it may take before it is killed or replaced.
        clocks: One for each line; no other process uses them any more.
    """

    def __init__(
        self, config: EngineConfig, limits: EngineLimits, clocks: Sequence[DecodeClock]
    ) -> None:
        # Spawned: a fork would carry the parent's connections and threads' locks along.
        context = multiprocessing.get_context("spawn")
        for clock in clocks:
            clock.reset()
        pipes = [(*context.Pipe(), clock) for clock in clocks]
        self._lines = [_Line(ours, clock) for ours, _, clock in pipes]
        theirs = [EngineLine(theirs, clock) for _, theirs, clock in pipes]
        # A daemon may have no children, and predictors may use multiprocessing.
        self._process: SpawnProcess = context.Process(
            target=serve, args=(theirs, config), name="engine"
        )
        with _keeping_signals_blocked():
            self._process.start()
        for end in theirs:
            end.connection.close()
        self._guard = self._process.pid or 0  # there is one since the process was started
        self._exit_code: int | None = None
        self._limits = limits
        self._memory = MemoryLimit(self._guard, limits.memory_bytes)
        self._decode_limit_s = config.decode_limit_s
        self._pid: int | None = None
        self._force_at_s = math.inf
        self._answers = 0
        self._serves = False
        self._is_retired = False
        self._free = SimpleQueue[_Line]()
        for line in self._lines:
            self._free.put(line)
        self._ended = threading.Event()
        # Guards what follows, and the lines' times.
        self._judging = threading.RLock()
        self._verdict: EngineLostError | None = None
        self._watcher = threading.Thread(target=self._watch, name="engine-watcher", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """The process id of the engine; until that is known, the one of the guard above it."""
        return self._pid or self._guard

    @property
    def is_ready(self) -> bool:
        is_given_up = self._is_retired or self._verdict is not None or self._ended.is_set()
        return self._serves and not is_given_up

    def wait_until_ready(self) -> tuple[ServedModel, ...]:
        """Wait for the models of the process; none if it ended before."""
        limit_s = self._limits.start_s
        overdue = f"took longer than {limit_s:g} s to load its models"
        try:
            with self._within(limit_s, overdue, self._lines[0]) as connection:
                started: Started = connection.recv()
                self._pid = started.pid
                ready: Ready = connection.recv()
        except EngineLostError:
            return ()
        self._serves = any(model.is_ready for model in ready.models)
        return ready.models

    def ask(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """Send some questions and wait for the replies, which come in the same order.

        Raises:
            DecodeOverdueError: One of these images took too long to decode, alone or held up by
                what other lines asked; the process was killed.
            EngineLostError: The process ended, or was killed.
            RetiredError: It takes no more questions; it did not get these.
        """
        limit_s = self._limits.job_s
        line = self._free.get()
        try:
            with self._within(limit_s, f"took longer than {limit_s:g} s", line) as connection:
                connection.send(tuple(questions))
                replies: Sequence[Reply] = connection.recv()
            self._retire_if_worn(len(questions))
        finally:
            self._free.put(line)
        return replies

    def kill(self, verdict: EngineLostError) -> None:
        """End the process now, whatever it is doing, and report *verdict* as the reason."""
        with self._judging:
            if not self._ended.is_set():
                self._verdict = self._verdict or verdict
                self._put_down()

    def wait_for_end(self) -> EngineLostError | None:
        """Wait for the end of the process, and return why it ended; None if it was retired."""
        self._watcher.join()
        # Wait for the threads that use them: the next process's connections get the same file
        # descriptors, and such a thread would read from the wrong one.
        for line in [self._free.get() for _ in self._lines]:
            line.connection.close()
            self._free.put(line)
        return None if self._is_retired else self._end()

    @contextmanager
    def _within(self, limit_s: float, overdue: str, line: _Line) -> Iterator[Connection]:
        """Have the process killed if the block takes longer than *limit_s*."""
        with self._judging:
            if self._is_retired:
                raise RetiredError
            line.due_s, line.overdue = time.monotonic() + limit_s, overdue
        try:
            yield line.connection
        except (EOFError, OSError):
            end = self._end()
            raise line.guilty or end from None
        finally:
            with self._judging:
                line.due_s = math.inf

    def _end(self) -> EngineLostError:
        """Return why the process ended; it has hung up, so it ends now if it has not yet."""
        if not self._ended.wait(END_WITHIN_S):
            self.kill(EngineDiedError("hung up and was killed"))
            self._ended.wait(END_WITHIN_S)
        return self._verdict or _explain(self._exit_code)

    def _watch(self) -> None:
        # Polled: the sentinel stays open as long as anything that a predictor has forked.
        while self._process.is_alive():
            self._enforce_time()
            self._enforce_memory()
            if time.monotonic() > self._force_at_s:
                self._process.kill()
                guard.end_group(self._guard)
            time.sleep(_LOOK_EVERY_S)
        with self._judging:
            # If the guard was killed: its group, whose number nobody else gets meanwhile.
            guard.end_group(self._guard)
            self._hang_up()
            self._exit_code = self._process.exitcode
            # The errors that tell of its end keep this object until they are collected.
            self._process.close()
            self._ended.set()

    def _enforce_time(self) -> None:
        with self._judging:
            for line in self._lines:
                if time.monotonic() > line.due_s:
                    self.kill(EngineTimeoutError(f"{line.overdue} and was killed"))
                elif (index := line.clock.overdue(self._decode_limit_s)) is not None:
                    line.guilty = line.guilty or DecodeOverdueError(index, self._decode_limit_s)
                    self.kill(EngineDiedError(f"was killed: {line.guilty}"))

    def _enforce_memory(self) -> None:
        if excess := self._memory.excess():
            self.kill(EngineMemoryError(f"reached {excess} and was killed"))

    def _retire_if_worn(self, answers: int) -> None:
        """Retire a process that has served long enough; end it once nobody waits for replies."""
        with self._judging:
            self._answers += answers
            if not self._is_retired and (wear := self._wear()):
                log.info("replacing the engine", reason=wear)
                self._is_retired = True
            if self._is_retired and all(line.due_s == math.inf for line in self._lines):
                last = self._lines[0]
                last.due_s, last.overdue = time.monotonic() + END_WITHIN_S, "took too long to end"
                self._hang_up()

    def _wear(self) -> str:
        if 0 < self._limits.max_jobs <= self._answers:
            return f"it answered {self._answers} questions"
        limit = self._limits.max_resident_bytes
        if not limit:
            return ""
        held = held_bytes(descendants_of(self._guard), enough=limit)
        return f"it holds {in_mib(held)} of memory, over {in_mib(limit)}" if held > limit else ""

    def _put_down(self) -> None:
        if self._process.is_alive():  # else somebody else may have its number
            guard.end(self._guard)
        self._force_at_s = min(self._force_at_s, time.monotonic() + END_WITHIN_S)
        self._hang_up()

    def _hang_up(self) -> None:
        for line in self._lines:
            line.hang_up()


@contextmanager
def _keeping_signals_blocked() -> Iterator[None]:
    """Undo that multiprocessing's resource tracker, at its start, lets SIGTERM and SIGINT in.

    They would kill the process through this thread, where the others hold them.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _explain(exit_code: int | None) -> EngineLostError:
    """Return why a process ended that we did not kill."""
    if exit_code == OUT_OF_MEMORY:
        return EngineMemoryError("was refused more memory and ended")
    if exit_code == -signal.SIGKILL:
        return EngineDiedError(
            "was killed by SIGKILL, most likely because the system ran out of memory"
        )
    if exit_code is not None and exit_code < 0:
        return EngineDiedError(f"was killed by {signal.Signals(-exit_code).name}")
    return EngineDiedError(f"ended with status {exit_code}")
