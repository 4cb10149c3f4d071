"""Work in a thread while a test does something else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_background(run: Callable[[threading.Event], None], *, name: str) -> Iterator[None]:
    """Run *run* in a thread during the block. At the end its event is set, and it must return."""
    ending = threading.Event()
    thread = threading.Thread(target=run, args=(ending,), name=name)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
