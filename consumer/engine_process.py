"""The engine itself: the child process that decodes images and runs models."""

import ctypes
import signal
import sys
from multiprocessing.connection import Connection

from common import logs
from consumer.protocol import EngineConfig, Question, Ready

_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


def serve(connection: Connection, config: EngineConfig) -> None:
    """Load the models, say so, and answer questions until the parent is gone."""
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when the engine ends
    logs.configure(role="engine", level=config.log_level, style=config.log_format)
    # torch only here: the parent imports this module too, and shall stay light.
    from consumer.inference import Models  # noqa: PLC0415

    models = Models.load(config)
    connection.send(Ready(models.served))
    while True:
        try:
            question: Question = connection.recv()
        except EOFError:
            return
        connection.send(models.answer(question))


def die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, even by kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
