"""What names mean to the code of one folder: its own files first, as in a script."""

import builtins
import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.machinery import (
    BuiltinImporter,
    FileFinder,
    FrozenImporter,
    SourceFileLoader,
    all_suffixes,
)
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Final

# Only asked whether there is a file: who loads it is the finder's business.
_ANY: Final = (SourceFileLoader, all_suffixes())
_below: set[str] = set()


def homes_are_below(prefix: str) -> None:
    """Say how the names of all packages of folders begin."""
    _below.add(prefix)


class Home:
    """The package of one folder.

    Args:
        root: Its name among Python's modules.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._meanings: dict[tuple[str, int], bool] = {}
        # A module's import statements call this: what it takes from its globals, and not what
        # the thread or the moment is, says whose names they are.
        self.builtins: dict[str, Any] = {**vars(builtins), "__import__": self._import}

    def object_at(self, named: str) -> Any:
        """Return ``module:name``, of a file of the folder or of an installed package."""
        module_name, _, name = named.partition(":")
        module = importlib.import_module(self.full_name(module_name) or module_name)
        return getattr(module, name)

    def full_name(self, name: str) -> str | None:
        """Return the full name of the folder's module *name*; None: it has none of that name."""
        return f"{self._root}.{name}" if self._owns(name.partition(".")[0]) else None

    def take_paths(self) -> None:
        """Take what the code has put on ``sys.path``, where others would find it, too."""
        folders = self._folders()
        sys.path[:] = [entry for entry in sys.path if entry not in folders]

    def _owns(self, top: str) -> bool:
        folders = self._folders()
        known = (top, len(folders))
        if known not in self._meanings:
            self._meanings[known] = _means_a_file(top, folders)
        return self._meanings[known]

    def _folders(self) -> list[str]:
        """Return the folder, and those below it that its code has put on ``sys.path``."""
        folders: list[str] = sys.modules[self._root].__dict__["__path__"]
        home = Path(_real(folders[0]))
        for entry in tuple(sys.path):
            if entry not in folders and Path(_real(entry)).is_relative_to(home):
                folders.append(entry)
        return folders

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 (as the builtin has it)
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        full_name = None if level else self.full_name(name)
        if full_name is None:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if fromlist:
            return builtins.__import__(full_name, globals, locals, fromlist, 0)
        importlib.import_module(full_name)
        # `import a.b` binds a.
        return sys.modules[f"{self._root}.{name.partition('.')[0]}"]


def home_of(module_name: object) -> Home | None:
    """Return the home of a module of a folder; None: it is of none."""
    for prefix in _below:
        if isinstance(module_name, str) and module_name.startswith(prefix):
            root = prefix + module_name.removeprefix(prefix).partition(".")[0]
            return _home(root) if hasattr(sys.modules.get(root), "__path__") else None
    return None


def home_at(frame: FrameType | None) -> Home | None:
    """Return the home of the code that runs in *frame*."""
    return None if frame is None else home_of(frame.f_globals.get("__name__"))


def home_behind(frame: FrameType | None) -> Home | None:
    """Return the home of the code on whose behalf *frame* runs: the nearest that has called."""
    while frame is not None:
        if (home := home_at(frame)) is not None:
            return home
        frame = frame.f_back
    return None


@cache
def _home(root: str) -> Home:
    return Home(root)


@cache
def _real(entry: str) -> str:
    return os.path.realpath(entry)


def _means_a_file(top: str, folders: Sequence[str]) -> bool:
    """Follow the order of Python: what is built in, files, and folders of anything at last."""
    if BuiltinImporter.find_spec(top) or FrozenImporter.find_spec(top):
        return False
    found = [spec for folder in folders if (spec := FileFinder(folder, _ANY).find_spec(top))]
    if any(spec.loader is not None for spec in found):
        return True
    return bool(found) and not _is_elsewhere(top)


def _is_elsewhere(top: str) -> bool:
    try:
        return top in sys.modules or importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False
