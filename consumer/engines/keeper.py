"""The engine as its parent sees it: a child process that may be killed at any time.

Native code can hang, crash or use up all memory. In a process of its own it takes nothing else
down: the parent keeps its connections, and the job gets another attempt.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog

from common.problems import failures
from common.workers import ModelState, ServedModel
from consumer.engines.process import END_WITHIN_S, EngineLimits, EngineProcess, RetiredError
from consumer.engines.shared_lock import SharedLock
from consumer.errors import (
    DecodeOverdueError,
    EngineDiedError,
    EngineLostError,
    EngineNotReadyError,
    Outcome,
)
from engine.decode_clock import DecodeClock
from engine.protocol import EngineConfig, Question, Refusal, Reply

log = structlog.stdlib.get_logger(__name__)

_LONGEST_PAUSE_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.2


class _SharedLossError(Exception):
    """A process was lost while it had several questions; any of them may be to blame."""


class EngineKeeper:
    """Keeps one engine process alive and asks it.

    Several lanes may ask at once. If a process is lost while it has several questions, each of them
    is asked again alone, so that only the guilty one fails.

    Args:
        config: What the process is told.
        limits: What the process may take before it is killed or replaced.
        stopping: Set when the consumer stops: then nobody waits for another process.
    """

    def __init__(
        self, config: EngineConfig, *, limits: EngineLimits, stopping: threading.Event
    ) -> None:
        self._config = config
        self._limits = limits
        self._stopping = stopping
        self._on_change: Callable[[], None] = lambda: None
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._asking = SharedLock(config.lines)
        self._clocks = [DecodeClock() for _ in range(config.lines)]
        self._child: EngineProcess | None = None
        self._models = self._all(ModelState.LOADING)
        # The kernel ties a child's life to the thread that started it (see engine/guard.py),
        # so one thread, which lives as long as the parent, starts them all.
        self._keeper = threading.Thread(target=self._keep, name="engine-keeper", daemon=True)

    @property
    def models(self) -> tuple[ServedModel, ...]:
        return self._models

    @property
    def pid(self) -> int | None:
        """The process id of the engine, if there is one."""
        child = self._child
        return None if child is None else child.pid

    def start(self, *, on_change: Callable[[], None] = lambda: None) -> None:
        """Start the process; it becomes ready later.

        Args:
            on_change: Called from a thread of this object whenever ``models`` has changed.
        """
        self._on_change = on_change
        self._keeper.start()

    @property
    def is_ready(self) -> bool:
        """Whether there is a process that has loaded and warmed up a model."""
        child = self._child
        return child is not None and child.is_ready

    @property
    def busy(self) -> int:
        """How many batches of questions are being answered or wait."""
        return self._asking.busy

    def ask(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Ask the process; yield the outcomes in the order of the questions, each once it is known.

        An outcome is a reply or an error: the process was lost over the question, or there is
        none because the consumer is stopping.
        """
        if not questions:
            return
        try:
            yield from self._asked_together(questions)
        except DecodeOverdueError as exc:  # the others are asked again
            yield from self.ask(questions[: exc.index])
            yield _refused(exc) if exc.is_certain else self._asked_alone(questions[exc.index])
            yield from self.ask(questions[exc.index + 1 :])
        except _SharedLossError:
            for question in questions:
                yield self._asked_alone(question)

    def _asked_together(self, questions: Sequence[Question]) -> Sequence[Outcome]:
        with self._asking.shared() as holder:
            try:
                return self._ask_child(questions)
            except EngineNotReadyError as exc:
                return [exc] * len(questions)
            except DecodeOverdueError as exc:
                # Another lane's native code may have held the interpreter's lock all the time.
                is_certain = not holder.was_shared
                raise DecodeOverdueError(exc.index, exc.limit_s, is_certain=is_certain) from None
            except EngineLostError as exc:
                is_alone = len(questions) == 1 and not holder.was_shared
                if is_alone or self._closing.is_set():  # then there is no child to ask again
                    return [exc] * len(questions)
                raise _SharedLossError from None

    def _asked_alone(self, question: Question) -> Outcome:
        with self._asking.exclusive():
            try:
                [reply] = self._ask_child([question])
            except DecodeOverdueError as exc:
                return _refused(exc)
            except (EngineLostError, EngineNotReadyError) as exc:
                return exc
            return reply

    def _ask_child(self, questions: Sequence[Question]) -> Sequence[Reply]:
        while True:
            try:
                return self._ready_child().ask(questions)
            except RetiredError:  # just now, so there will be another
                continue

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closing.set()
        if (child := self._child) is not None:
            child.kill(_closed())
        self._keeper.join(END_WITHIN_S)

    def _keep(self) -> None:
        """Run one process after another, with growing pauses after those that were never ready."""
        failures = 0
        while not self._closing.is_set():
            try:
                got_ready = self._run_child()
            except Exception as exc:  # whatever it is: without this thread there is no next child
                got_ready = False
                log.exception("the engine cannot be started")
                reason = f"the engine cannot start: {type(exc).__name__}: {exc}"
                self._tell(self._all(ModelState.UNAVAILABLE, reason))
            failures = 0 if got_ready else failures + 1
            if failures:
                self._closing.wait(min(_LONGEST_PAUSE_S, 2.0**failures))

    def _run_child(self) -> bool:
        """Run a process until its end, and return whether it was ever ready.

        Raises:
            OSError: The system cannot start a process now.
        """
        child = self._child = EngineProcess(self._config, self._limits, self._clocks)
        try:
            return self._see_through(child)
        except Exception:
            child.kill(EngineDiedError("was stopped because its consumer met an error"))
            child.wait_for_end()  # the next one uses the same clocks
            raise

    def _see_through(self, child: EngineProcess) -> bool:
        if self._closing.is_set():
            child.kill(_closed())
        models = child.wait_until_ready()
        got_ready = any(model.is_ready for model in models)
        if got_ready:
            self._tell(models)
        else:
            # Weights that are missing now may be there for the next process.
            child.kill(EngineDiedError("has no model that it can serve"))
        end = child.wait_for_end()
        # While the successor of a retired process loads, clients only see jobs that take longer.
        # So the models stay ready.
        if end is None or self._closing.is_set():
            return got_ready
        log.error("the engine ended; restarting it", end=str(end))
        if got_ready:
            self._tell(self._all(ModelState.LOADING, f"the engine {end}"))
        else:
            self._tell(models or self._all(ModelState.UNAVAILABLE, f"the engine {end}"))
        return got_ready

    def _tell(self, models: tuple[ServedModel, ...]) -> None:
        self._models = models
        with self._changed:
            self._changed.notify_all()
        self._on_change()

    def _ready_child(self) -> EngineProcess:
        with self._changed:
            while (child := self._child) is None or not child.is_ready:
                if self._stopping.is_set() or self._closing.is_set():
                    raise EngineNotReadyError("the engine is not ready, and will not be")
                self._changed.wait(_LOOK_AGAIN_S)
            return child

    def _all(self, state: ModelState, reason: str = "") -> tuple[ServedModel, ...]:
        return tuple(
            ServedModel(name=name, state=state, reason=reason) for name in self._config.models
        )


def _refused(error: DecodeOverdueError) -> Refusal:
    """Fail the job at once: the file is to blame, and another attempt would meet the same."""
    return Refusal(
        failures.IMAGE_DECODE_TIMEOUT.failure(
            f"Decoding took longer than {error.limit_s:g} s and was stopped. Save the image again, "
            "in a plain format and without its metadata.",
        )
    )


def _closed() -> EngineDiedError:
    return EngineDiedError("was stopped because its consumer is shutting down")
