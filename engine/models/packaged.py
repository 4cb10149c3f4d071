"""Weights that an installed package carries: ``package:NAME/path/of/the/file``."""

import os
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engine.models.errors import ModelUnavailableError

PACKAGE: Final = "package:"


def place_of(folder: Path, named: str) -> Path:
    """Return the file that a ``model.toml`` in *folder* names, whether it is there or not.

    Raises:
        ModelUnavailableError: It is in a package that is not installed.
    """
    if not named.startswith(PACKAGE):
        return folder / named
    package, _, inside = named.removeprefix(PACKAGE).partition("/")
    home = _home_of(package)
    if home is None:
        # Package indexes take - and _ for the same.
        raise ModelUnavailableError(
            f"{named} is in a package that is not installed: pip install "
            f"{package.replace('_', '-')}"
        )
    return home / inside


def is_in_missing_package(named: str) -> bool:
    """Return whether *named* is in a package that is not installed."""
    package = named.removeprefix(PACKAGE).partition("/")[0]
    return named.startswith(PACKAGE) and _home_of(package) is None


def name_of(file: Path, base: Path) -> str:
    """Return the name of *file* in records: its path from *base*, or as ``package:...``.

    Packages lie at another path on every machine.
    """
    packages = Path(sysconfig.get_path("purelib"))
    if file.is_relative_to(packages) and not file.is_relative_to(base):
        return f"{PACKAGE}{file.relative_to(packages).as_posix()}"
    return Path(os.path.relpath(file, base)).as_posix()


def _home_of(package: str) -> Path | None:
    """Find the folder of *package*, without running its code as an import would."""
    spec = find_spec(package) if package.isidentifier() else None
    homes = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(homes))) if homes else None
