"""A process keeps the memory of one large image for the next."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from consumer.allocation import keep_freed_memory

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
