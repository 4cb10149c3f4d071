"""The engine as its parent sees it: a child process that may be killed at any time.

Native code can hang, crash or eat all memory. In a process of its own it takes nothing
with it: the parent keeps its connections, and the job gets another attempt.
"""

import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Final

import structlog

from common.workers import ModelState, ServedModel
from consumer.engine_process import serve
from consumer.errors import EngineDiedError, EngineNotReadyError, EngineTimeoutError
from consumer.protocol import EngineConfig, Question, Ready, Reply

log = structlog.stdlib.get_logger(__name__)

_LONGEST_PAUSE_S: Final = 30.0
# The time between a child's end and its being reaped by the keeper.
_REAP_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.2


class Engine:
    """Keeps one child process alive and asks it one question at a time.

    Args:
        config: What the child is told.
        start_limit_s: A child that is not ready by then is killed and started again.
        time_limit_s: So is one that takes longer over a question.
        stopping: Set when the process shall stop: then nobody waits for a next child.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        start_limit_s: float,
        time_limit_s: float,
        stopping: threading.Event,
    ) -> None:
        self._config = config
        self._start_limit_s = start_limit_s
        self._time_limit_s = time_limit_s
        self._stopping = stopping
        self._on_change: Callable[[], None] = lambda: None
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._asking = threading.Lock()
        self._child: _Child | None = None
        self._models = _all(config.models, ModelState.LOADING)
        # The kernel ties a child's life to the thread that started it (see die_with_parent),
        # so one thread, which lives as long as the parent, starts them all.
        self._keeper = threading.Thread(target=self._keep, name="engine-keeper", daemon=True)

    @property
    def models(self) -> tuple[ServedModel, ...]:
        return self._models

    @property
    def pid(self) -> int | None:
        """The process id of the child, if there is one."""
        child = self._child
        return None if child is None else child.process.pid

    def start(self, *, on_change: Callable[[], None] = lambda: None) -> None:
        """Start the child; it becomes ready later.

        Args:
            on_change: Called, from a thread of the engine, whenever ``models`` changed.
        """
        self._on_change = on_change
        self._keeper.start()

    def wait_until_ready(self) -> None:
        """Wait for a child that has loaded and warmed its models.

        Raises:
            EngineNotReadyError: There is none, and the process is stopping.
        """
        self._ready_child()

    def ask(self, question: Question) -> Reply:
        """Ask the child and wait for its reply.

        Raises:
            EngineDiedError: The child ended; a new one is being started.
            EngineTimeoutError: It took longer than the time limit and was killed.
            EngineNotReadyError: There is none, and the process is stopping.
        """
        with self._asking:
            return self._ready_child().ask(question, self._time_limit_s)

    def close(self) -> None:
        """End the child, whatever it does."""
        self._closing.set()
        if (child := self._child) is not None:
            child.process.kill()
        self._keeper.join(_REAP_S)

    def _keep(self) -> None:
        """Start a child, wait for its end, and again: slower, if it never gets ready."""
        failures = 0
        while not self._closing.is_set():
            child = self._child = _Child(self._config)
            if self._closing.is_set():
                child.process.kill()
            models = child.wait_until_ready(self._start_limit_s)
            if models is not None:
                failures = 0
                self._tell(models)
            else:
                failures += 1
                child.process.kill()
            end = child.wait_for_end()
            if self._closing.is_set():
                return
            log.error("the engine ended and is started again", end=end)
            self._tell(_all(self._config.models, ModelState.UNAVAILABLE, f"the engine {end}"))
            if failures:
                self._closing.wait(min(_LONGEST_PAUSE_S, 2.0**failures))

    def _tell(self, models: tuple[ServedModel, ...]) -> None:
        self._models = models
        with self._changed:
            self._changed.notify_all()
        self._on_change()

    def _ready_child(self) -> "_Child":
        with self._changed:
            while (child := self._child) is None or not child.is_ready:
                if self._stopping.is_set() or self._closing.is_set():
                    raise EngineNotReadyError("the engine is not ready, and will not be")
                self._changed.wait(_LOOK_AGAIN_S)
            return child


class _Child:
    """One process from its start to its end."""

    def __init__(self, config: EngineConfig) -> None:
        # Spawned: a fork would carry the parent's connections and threads' locks along.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=serve, args=(theirs, config), name="engine", daemon=True
        )
        self.process.start()
        theirs.close()
        self.is_ready = False
        self._talking = threading.Lock()
        # Closed when the process has ended, which wakes whoever waits for a reply. Its own
        # pipe and its sentinel would not: what a predictor has forked keeps them open.
        self._end, self._tell_end = context.Pipe(duplex=False)

    def wait_until_ready(self, limit_s: float) -> tuple[ServedModel, ...] | None:
        """Return what the child serves; None if it ended, or took too long."""
        try:
            first = self._connection.recv() if self._connection.poll(limit_s) else None
        except (EOFError, OSError):
            return None
        self.is_ready = isinstance(first, Ready)
        return first.models if isinstance(first, Ready) else None

    def ask(self, question: Question, limit_s: float) -> Reply:
        with self._talking:
            try:
                self._connection.send(question)
                if not (ready := wait([self._connection, self._end], limit_s)):
                    self.is_ready = False
                    self.process.kill()
                    raise EngineTimeoutError(f"took longer than {limit_s:g} s and was killed")
                if self._connection in ready:
                    reply: Reply = self._connection.recv()
                    return reply
            except (EOFError, OSError):
                pass  # it has ended, or is about to
            self.is_ready = False
            if not self._end.closed:
                wait([self._end], _REAP_S)
            raise EngineDiedError(_describe(self.process.exitcode))

    def wait_for_end(self) -> str:
        """Wait for the end of the process, and say how it ended."""
        self.process.join()
        self.is_ready = False
        self._tell_end.close()
        # Not under the hands of a thread that waits for a reply: the next child's pipe gets
        # the same file descriptor, and that thread would wait for the wrong one.
        with self._talking:
            self._connection.close()
            self._end.close()
        return _describe(self.process.exitcode)


def _describe(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with status {exit_code}"


def _all(names: tuple[str, ...], state: ModelState, reason: str = "") -> tuple[ServedModel, ...]:
    return tuple(ServedModel(name=name, state=state, reason=reason) for name in names)
