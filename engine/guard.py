"""The process above an engine, which ends all that the engine has started, however it ends.

A predictor may use ``multiprocessing``, workers of a ``DataLoader``, or programs. They do not
notice when the engine is killed, and they may leave its process group. On Linux the guard is their
subreaper: a process that loses its parent becomes a child of the guard, which finds it there. The
guard also outlives a consumer that is killed and can end nothing any more. A signal at the death
of the parent (``PR_SET_PDEATHSIG``) would be simpler, but it comes when the *thread* that forked
ends, which in a predictor may be long before the engine does.

Elsewhere (macOS has neither) there is no guard: the consumer ends the process group of the
engine, and nobody does if the consumer is killed.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Final

from common.memory import descendants_of

HAS_GUARD: Final = sys.platform == "linux"

# https://man7.org/linux/man-pages/man2/prctl.2.html
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
# Not SIGTERM: that may be meant for every process of a group, and here the consumer decides.
_END: Final = signal.SIGUSR1
_HEARD: Final = (_END, signal.SIGCHLD)
_ANY_CHILD: Final = -1
_STANDARD_STREAMS: Final = 3


def leave_guard_behind() -> None:
    """Return in a child of this process, which is the engine; stay in this one as its guard.

    To be called before anything has started a thread, for only this one is in the child.
    """
    os.setsid()  # so that without a guard, or if that is killed, there is a group to be ended
    if not HAS_GUARD:
        return
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    _prctl(_PR_SET_PDEATHSIG, _END)
    if _has_lost_its_parent():  # before that was said
        os._exit(0)
    guard = os.getpid()
    engine = os.fork()
    if engine:
        _guard(engine)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(0)


def end(guard: int) -> None:
    """Have the process *guard*, what it guards, and all that this has started, end."""
    with suppress(ProcessLookupError):
        os.kill(guard, _END if HAS_GUARD else signal.SIGKILL)
    if not HAS_GUARD:
        end_group(guard)


def end_group(guard: int) -> None:
    """End what is left in the group of *guard*, which may have been killed, or cannot go on."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(guard, signal.SIGKILL)


def _guard(engine: int) -> None:
    """Wait for the end of the engine or the order to end it; then end the rest, and so do we."""
    os.closerange(_STANDARD_STREAMS, os.sysconf("SC_OPEN_MAX"))  # who asks shall see its end
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    status = _status_of(engine)
    _end_descendants()
    _end_like(os.waitstatus_to_exitcode(status))


def _status_of(engine: int) -> int:
    while True:
        if signal.sigwait(_HEARD) == _END:
            os.kill(engine, signal.SIGKILL)
        # Those whose parents have ended are to be waited for, too. One signal may stand for many.
        ended, status = os.waitpid(_ANY_CHILD, os.WNOHANG)
        while ended:
            if ended == engine:
                return status
            ended, status = os.waitpid(_ANY_CHILD, os.WNOHANG)


def _end_descendants() -> None:
    """Kill them, and those that they have started meanwhile, until there are none."""
    while True:
        for pid in descendants_of(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(_ANY_CHILD, 0)
        except ChildProcessError:
            return


def _end_like(exit_code: int) -> None:
    """End as the engine did, so that the consumer learns how that was."""
    if exit_code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # there is no use in two core files
        with suppress(OSError):  # of SIGKILL, which needs it not
            signal.signal(-exit_code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        os.kill(os.getpid(), -exit_code)
    os._exit(abs(exit_code))


def _has_lost_its_parent() -> bool:
    parent = multiprocessing.parent_process()
    return parent is not None and os.getppid() != parent.pid


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value)
