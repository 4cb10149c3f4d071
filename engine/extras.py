"""Which extras are installed here, without loading them."""

from importlib.util import find_spec
from typing import Final

# What decodes each format that Pillow alone does not.
_DECODERS: Final = {"HEIF": "pillow_heif"}


def lacked_formats() -> tuple[str, ...]:
    """Return those of the accepted image formats that this installation cannot decode."""
    return tuple(name for name, module in _DECODERS.items() if find_spec(module) is None)
