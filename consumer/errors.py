"""What can happen to a question that an engine is asked."""

from typing import ClassVar

from common.errors import TransientError
from common.problems import failures
from common.problems.types import Problem
from engine.protocol import Reply


class EngineLostError(TransientError):
    """The engine did not survive this question; another engine may answer it.

    The text continues a sentence that begins with "It". ``problem`` is what the client sees.
    """

    problem: ClassVar[Problem]


class EngineDiedError(EngineLostError):
    """The engine ended over this question."""

    problem = failures.ENGINE_DIED


class EngineTimeoutError(EngineLostError):
    """The engine took too long over this question and was killed."""

    problem = failures.ENGINE_TIMEOUT


class EngineMemoryError(EngineLostError):
    """The engine took too much memory over this question and was killed."""

    problem = failures.ENGINE_MEMORY


class DecodeOverdueError(TransientError):
    """The engine was killed because one image took too long to decode.

    Args:
        index: The index of its question among those that were asked together.
        limit_s: How long it may take.
        is_certain: Whether the image is to blame: beside another lane it may only have waited.
    """

    def __init__(self, index: int, limit_s: float, *, is_certain: bool = True) -> None:
        super().__init__(f"an image took longer than {limit_s:g} s to decode")
        self.index = index
        self.limit_s = limit_s
        self.is_certain = is_certain


class EngineNotReadyError(TransientError):
    """There is no engine because the consumer is stopping."""


Outcome = Reply | EngineLostError | EngineNotReadyError
