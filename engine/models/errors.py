"""What can be wrong with a model."""

from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import PermanentError
from common.text import text_of


class ModelUnavailableError(PermanentError):
    """The model cannot be served here. The text gives people the reason."""


class NotFiniteError(PermanentError):
    """A network returned NaN or infinity for an image, so there are no probabilities."""


@contextmanager
def told_as_unavailable() -> Iterator[None]:
    """Turn any error into a ``ModelUnavailableError``: weights and code of users raise anything."""
    try:
        yield
    except ModelUnavailableError:
        raise
    except Exception as exc:
        raise ModelUnavailableError(text_of(exc)) from exc
