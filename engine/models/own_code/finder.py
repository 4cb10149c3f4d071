"""Find and load the modules of model folders."""

import os
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from engine.models.own_code.by_name import know_folders
from engine.models.own_code.home import home_of, homes_are_below

_INIT: Final = "__init__.py"
# The letter makes an identifier of it, which some libraries expect of a module's name.
_MARK: Final = "folder_"


def name_of(folder: Path, turn: int) -> str:
    """Name the package of *folder*; *turn* tells apart those that it had before, if it changed."""
    return f"{_MARK}{os.fsencode(folder.absolute()).hex()}_{turn}"


def _folder_named(name: str) -> str | None:
    path, mark, _ = name.removeprefix(_MARK).rpartition("_")
    return os.fsdecode(bytes.fromhex(path)) if mark and name.startswith(_MARK) else None


class Finder(MetaPathFinder):
    """Finds everything below one package: the packages of folders, and what lies in these."""

    def __init__(self, parent: str) -> None:
        self._prefix = f"{parent}."
        homes_are_below(self._prefix)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(self._prefix):
            return None
        name = fullname.removeprefix(self._prefix)
        if "." in name:
            return spec_in(path or (), fullname)
        if (folder := _folder_named(name)) is None:
            return None
        know_folders()
        return _package(fullname, Path(folder))


def spec_in(folders: Sequence[str], fullname: str) -> ModuleSpec | None:
    """Find a module in *folders*, as Python does: a folder without ``__init__.py`` comes last."""
    bare: Path | None = None
    for folder in folders:
        # Anew every time: one that is kept does not see a file that was just written.
        spec = FileFinder(folder, *_LOADERS).find_spec(fullname)
        if spec is not None and spec.loader is not None:
            return spec
        if spec is not None and bare is None:
            bare = Path(folder, fullname.rpartition(".")[2])
    return None if bare is None else _package(fullname, bare)


def _package(fullname: str, folder: Path) -> ModuleSpec | None:
    return spec_from_file_location(
        fullname,
        folder / _INIT,
        loader=_Package(fullname, str(folder / _INIT)),
        submodule_search_locations=[str(folder)],
    )


class _Source(SourceFileLoader):
    """Runs a file with the names of its folder.

    It is compiled every time. What lies in ``__pycache__`` is known by the second and the size
    of the file, and so it may be that of a file that was there a moment ago.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        _bring_names(module)
        super().exec_module(module)


class _Package(_Source):
    """Runs the ``__init__.py`` of a folder, if there is one."""

    def get_data(self, path: str) -> bytes:
        if path == self.path and not Path(path).exists():
            return b""
        return super().get_data(path)


class _Bytecode(SourcelessFileLoader):
    """Runs a compiled file that came without its source."""

    def exec_module(self, module: ModuleType) -> None:
        _bring_names(module)
        super().exec_module(module)


def _bring_names(module: ModuleType) -> None:
    if (home := home_of(module.__name__)) is not None:
        module.__dict__["__builtins__"] = home.builtins


_LOADERS: Final = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (_Source, SOURCE_SUFFIXES),
    (_Bytecode, BYTECODE_SUFFIXES),
)
