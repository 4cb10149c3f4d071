"""What can be wrong with an order to quantize."""

from common.errors import PermanentError


class CannotQuantizeError(PermanentError):
    """There will be no model; the text says why and what to do, for people."""
