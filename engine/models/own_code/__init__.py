"""The code of model folders: each folder is a package below this one, under a name of its own.

So two folders may both have a ``utils.py``, and one may have a ``common.py`` or a ``random.py``:
what they call it is looked up among their own files first, and nobody else sees it. ADR 29 has
the reasons.

A folder's package is named after the path of the folder. A worker that ``multiprocessing`` has
spawned knows nothing but the name of a function's module; it imports this package, and so gets
what finds the folder again.
"""

import sys

from engine.models.own_code.finder import Finder

if not any(isinstance(finder, Finder) for finder in sys.meta_path):
    # First: the usual finders would load the files, but without their own meaning of names.
    sys.meta_path.insert(0, Finder(__name__))
