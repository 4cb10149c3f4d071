"""The precisions of networks. Apart from ``network``, so that a consumer loads no numpy."""

from typing import Literal

# The type that most of the arithmetic uses.
Precision = Literal["float32", "half", "bfloat16", "int8"]
