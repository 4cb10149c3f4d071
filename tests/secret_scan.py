"""Scan files for keys, tokens and passwords with detect-secrets."""

from collections.abc import Iterable
from pathlib import Path

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings


def secrets_in(folder: Path, files: Iterable[str]) -> set[tuple[str, str]]:
    """Scan *files* of *folder*; return the place and kind of each finding."""
    collection = SecretsCollection()
    with default_settings():
        for file in files:
            collection.scan_file(str(folder / file))
    return {(str(Path(file).relative_to(folder)), found.type) for file, found in collection}
