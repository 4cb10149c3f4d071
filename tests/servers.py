"""Start the embedded servers for tests, without the supervisor."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from embedded.programs import HOST, Program


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(program: Program) -> Iterator["subprocess.Popen[bytes]"]:
    """Run *program* until the end of the block; yield once it is ready."""
    process = subprocess.Popen(  # noqa: S603 (our own command)
        program.command,
        env={**os.environ, **program.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline_s = time.monotonic() + program.ready_within_s
        while not program.is_ready():
            assert process.poll() is None, f"{program.name} ended with {process.returncode}"
            assert time.monotonic() < deadline_s, f"{program.name} is not ready in time"
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(program.stop_within_s)
