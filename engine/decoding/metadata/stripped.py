"""The result of stripping a file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stripped:
    """A file without its metadata.

    Args:
        image: The rest of the file.
        orientation: As EXIF has it; None where the decoder knows better.
    """

    image: bytes
    orientation: int | None
