"""Run the code of a model folder."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from engine.models import own_code
from engine.models.errors import ModelUnavailableError
from engine.models.own_code.finder import name_of
from engine.models.own_code.home import Home, home_of


@contextmanager
def code_of(folder: Path) -> Iterator[Home]:
    """Read the code in *folder* again; make it ready within this context.

    Raises:
        ModelUnavailableError: It is no folder whose code can be found.
    """
    names = (f"{own_code.__name__}.{name_of(folder, turn)}" for turn in count())
    # What was loaded before stays as it is: somebody may still use it.
    root = next(name for name in names if name not in sys.modules)
    importlib.import_module(root)
    home = home_of(root)
    if home is None:
        raise ModelUnavailableError(f"the code in {folder} cannot be found")
    try:
        yield home
    finally:
        home.take_paths()
