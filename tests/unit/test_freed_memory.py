"""A process keeps the memory of one large image for the next."""

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from common.memory import MEBIBYTE
from engine import freed_memory
from engine.freed_memory import FreedMemory

PROGRAM = """
import resource
from engine.freed_memory import keep_freed_memory

def take_an_image():
    [bytearray(b"x") * 2**24 for _ in range(3)]

keep_freed_memory()
take_an_image()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
take_an_image()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it sets options of glibc")
def test_a_second_large_image_needs_no_new_pages() -> None:
    ended = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )

    assert int(ended.stdout) < 100


RETURNING = """
import os
from engine.freed_memory import FreedMemory, keep_freed_memory
from common.memory import resident_bytes

keep_freed_memory()
freed = FreedMemory()
usual = resident_bytes(os.getpid())
# Blocks that stay in use keep glibc from returning what lies between them.
taken = [(bytearray(b"x") * 2**24, bytes(1000)) for _ in range(32)]
blocks = [small for _, small in taken]
del taken
before = resident_bytes(os.getpid())
freed.return_excess(is_idle=True)
print((resident_bytes(os.getpid()) - usual) // 2**20, (before - usual) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it asks glibc")
def test_what_very_large_images_took_is_returned() -> None:
    ended = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", RETURNING], check=True, capture_output=True, text=True
    )

    after_mib, _ = map(int, ended.stdout.split())
    assert after_mib < 150


def test_a_busy_process_that_has_grown_for_good_is_not_trimmed_after_each_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trimmed: list[int] = []
    library = SimpleNamespace(malloc_trim=trimmed.append)
    monkeypatch.setattr(freed_memory, "ctypes", SimpleNamespace(CDLL=lambda _name: library))
    held = iter([100, *[900] * 100])
    monkeypatch.setattr(freed_memory, "resident_bytes", lambda _pid: next(held) * MEBIBYTE)
    monkeypatch.setattr(freed_memory, "time", SimpleNamespace(monotonic=lambda: 7.0))

    freed = FreedMemory()
    for _ in range(50):
        freed.return_excess(is_idle=False)
    freed.return_excess(is_idle=True)

    assert len(trimmed) == 2


THREADED = """
import ctypes
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from common.memory import share_one_heap

{before}
barrier = Barrier(4)

def work(_number):
    barrier.wait()
    return bytearray(100_000)

with ThreadPoolExecutor(4) as pool:
    kept = list(pool.map(work, range(4)))
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it asks glibc")
@pytest.mark.parametrize(("before", "is_one"), [("", False), ("share_one_heap()", True)])
def test_threads_share_one_heap_if_they_are_told_to(before: str, *, is_one: bool) -> None:
    ended = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", THREADED.format(before=before)],
        check=True,
        capture_output=True,
        text=True,
    )

    assert (ended.stderr.count("Arena") == 1) is is_one
