"""Files that other users must not read."""

from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path* atomically; only its owner can read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half_written = path.with_name(path.name + ".new")
    half_written.unlink(missing_ok=True)
    half_written.touch(mode=0o600)
    half_written.write_text(text)
    half_written.replace(path)
