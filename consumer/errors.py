"""What can happen to a question that is asked of the engine."""

from common.errors import TransientError


class EngineDiedError(TransientError):
    """The engine ended over this question; another engine may answer it."""


class EngineTimeoutError(TransientError):
    """The engine took too long over this question and was killed."""


class EngineNotReadyError(TransientError):
    """There is no engine, for the process is stopping."""
