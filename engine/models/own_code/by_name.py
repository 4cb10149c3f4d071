"""Names that are known only at run time: of ``importlib.import_module`` and of pickles.

An import statement says whose it is. These do not: torch, say, reads the pickle. So the nearest
code of a folder that has called is asked first.
"""

import importlib
import io
import pickle
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from types import FrameType, ModuleType
from typing import Any, Final

from engine.models.own_code.home import home_at, home_behind

_FindClass = Callable[[Any, str, str], Any]

_import_module: Final = importlib.import_module
_find_in_python: Final[_FindClass] = pickle._Unpickler.find_class


def know_folders() -> None:
    """Have names that are known only at run time looked up in folders, too."""
    changes: Iterable[tuple[object, str, object]] = (
        (importlib, "import_module", import_module),
        (pickle, "Unpickler", Unpickler),
        (pickle, "load", load),
        (pickle, "loads", loads),
        (pickle._Unpickler, "find_class", _find_class),
    )
    for owner, name, better in changes:
        setattr(owner, name, better)


def import_module(name: str, package: str | None = None) -> ModuleType:
    """Do what ``importlib.import_module`` does, in the names of the folder that has called."""
    if name.startswith("."):
        return _import_module(name, package)
    return _import_module(_meant(name, _caller(sys._getframe(1))))


def _meant(name: str, caller: FrameType | None) -> str:
    """Return the full name of what *caller* means by *name*.

    A library that takes a name from a folder means one of the folder's modules. For its own
    business it imports its own, or Python's.
    """
    direct = home_at(caller)
    home = direct or home_behind(caller)
    full_name = None if home is None else home.full_name(name)
    if full_name is None:
        return name
    top = name.partition(".")[0]
    is_its_own = direct is None and (top in sys.stdlib_module_names or top == _top_of(caller))
    return name if is_its_own else full_name


def _caller(frame: FrameType | None) -> FrameType | None:
    """Pass over importlib itself: of importlib.resources the one is meant that asks it."""
    while frame is not None and _top_of(frame) == "importlib":
        frame = frame.f_back
    return frame


def _top_of(frame: FrameType | None) -> str:
    name = None if frame is None else frame.f_globals.get("__name__")
    return str(name).partition(".")[0]


class Unpickler(pickle.Unpickler):
    """Finds classes of the folder on whose behalf it reads."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        return _found(super().find_class, module_name, global_name)


def load(file: Any, **options: Any) -> Any:
    """Do what ``pickle.load`` does."""
    return Unpickler(file, **options).load()


def loads(data: Any, /, **options: Any) -> Any:
    """Do what ``pickle.loads`` does."""
    return Unpickler(io.BytesIO(data), **options).load()


def _find_class(unpickler: Any, module_name: str, global_name: str) -> Any:
    return _found(partial(_find_in_python, unpickler), module_name, global_name)


def _found(find: Callable[[str, str], Any], module_name: str, global_name: str) -> Any:
    """Look into the folder first: who wrote the pickle did so, too."""
    home = home_behind(sys._getframe(2))
    full_name = None if home is None else home.full_name(module_name)
    if full_name is not None:
        # An object of Python's own random, say, beside a random.py.
        with suppress(AttributeError, ModuleNotFoundError):
            return find(full_name, global_name)
    return find(module_name, global_name)
