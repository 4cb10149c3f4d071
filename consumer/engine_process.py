"""The engine itself: the child process that decodes images and runs models."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import structlog

from common import logs
from consumer.protocol import OUT_OF_MEMORY, EngineConfig, Question, Ready

log = structlog.stdlib.get_logger(__name__)

_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_FIRST_TO_GO: Final = "1000"  # https://man7.org/linux/man-pages/man5/proc_pid_oom_score_adj.5.html


def serve(connection: Connection, config: EngineConfig) -> None:
    """Load the models, say so, and answer questions until the parent hangs up."""
    die_with_parent()
    die_first()
    os.setpgid(0, 0)  # so that the parent can end it along with what a predictor forks
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when the engine ends
    logs.configure(role="engine", level=config.log_level, style=config.log_format)
    # More threads wait for each other by spinning, and where api and servers share the cores
    # that costs more than it gains: docs/adr/0011-one-thread-an-engine.md. OpenMP, and torch
    # with it, reads this once, when it is loaded.
    os.environ["OMP_NUM_THREADS"] = str(config.threads)
    # Only here: the parent imports this module too, and shall stay light.
    from consumer.inference import Models  # noqa: PLC0415

    models = Models.load(config)
    connection.send(Ready(models.served))
    while True:
        try:
            question: Question = connection.recv()
        except EOFError:
            return
        with _ending_without_memory():
            reply = models.answer(question)
        connection.send(reply)


@contextmanager
def _ending_without_memory() -> Iterator[None]:
    try:
        yield
    except MemoryError:
        log.exception("the engine was refused memory")
        sys.exit(OUT_OF_MEMORY)


def die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, even by kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_first() -> None:
    """Have the kernel choose this process, and what it forks, when memory runs out."""
    if sys.platform == "linux":
        with suppress(OSError):  # a /proc that is read-only; then the kernel chooses as ever
            Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
