"""Files that others on the machine must not read."""

from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path*, which only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half_written = path.with_name(path.name + ".new")
    half_written.unlink(missing_ok=True)
    half_written.touch(mode=0o600)
    half_written.write_text(text)
    half_written.replace(path)
