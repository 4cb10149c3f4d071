"""The engines of one consumer, which look like one to those who ask."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from common.workers import ServedModel, best_of
from consumer.engines.keeper import EngineKeeper
from consumer.errors import EngineNotReadyError, Outcome
from engine.protocol import Question

_LOOK_AGAIN_S: Final = 0.2


class EnginePool:
    """Gives each batch to the engine that has the least to do.

    Args:
        engines: One or more, all with the same models.
        stopping: Set when the consumer stops: then nobody waits for an engine.
    """

    def __init__(self, engines: Sequence[EngineKeeper], *, stopping: threading.Event) -> None:
        self._engines = engines
        self._stopping = stopping
        self._changed = threading.Condition()
        self._on_change: Callable[[], None] = lambda: None

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """The models that are served, each in the best state that any engine reports."""
        best = best_of(model for engine in self._engines for model in engine.models)
        return tuple(replace(model, engines=len(self._engines)) for model in best.values())

    def start(self, *, on_change: Callable[[], None] = lambda: None) -> None:
        """Start them; they become ready later.

        Args:
            on_change: Called from a thread of an engine whenever ``models`` has changed.
        """
        self._on_change = on_change
        for engine in self._engines:
            engine.start(on_change=self._tell)

    def wait_until_ready(self) -> None:
        """Wait for an engine that can be asked.

        Raises:
            EngineNotReadyError: There is none, and the process is stopping.
        """
        with self._changed:
            while not any(engine.is_ready for engine in self._engines):
                if self._stopping.is_set():
                    raise EngineNotReadyError("no engine is ready and the consumer is stopping")
                self._changed.wait(_LOOK_AGAIN_S)

    def ask(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Ask one of them; yield the outcome of each question as soon as it is known."""
        # Two lanes may choose the same one at the same moment; it has a line for each.
        chosen = min(self._engines, key=lambda engine: (not engine.is_ready, engine.busy))
        return chosen.ask(questions)

    def close(self) -> None:
        """End them all, whatever they are doing."""
        for engine in self._engines:
            engine.close()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self._on_change()
