"""What can be wrong with a model."""

from common.errors import PermanentError


class ModelUnavailableError(PermanentError):
    """The model cannot be served here; the text says why, for people."""


class NotFiniteError(PermanentError):
    """A network gave NaN or infinity for an image: there is no probability to make of that."""
