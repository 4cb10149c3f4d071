"""Why a model cannot be quantized."""

from common.errors import PermanentError


class CannotQuantizeError(PermanentError):
    """No model was made; the text tells people why and what to do."""
