"""The composition root of the embedded system: up, stop, status, logs."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from common.settings import load_or_exit
from embedded.console import say
from embedded.errors import CannotStartError
from embedded.running import (
    NOTHING_RUNS,
    Addresses,
    about_resnet18,
    greeting,
    status_document,
    status_table,
)
from embedded.settings import EmbeddedSettings
from embedded.supervision import Supervisor
from embedded.system import System
from embedded.weights import WeightsProbe

_NOT_RUNNING: Final = 3  # as `systemctl status` has it
_INTERRUPTED: Final = 130  # as a shell has it
_LOG_LINES: Final = "40"
_PAUSE_S: Final = 0.2
_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    arguments = _parser().parse_args()
    settings = load_or_exit(EmbeddedSettings)
    state_dir = settings.state_folder
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chdir(state_dir)  # where the supervisor's paths begin
    except OSError as exc:
        sys.exit(f"darkroom: DARKROOM_STATE_DIR={state_dir} cannot be used: {exc.strerror}")
    verbs: Mapping[str, Callable[[], int]] = {
        "up": lambda: _up(settings, stays=_stays_in_foreground(arguments)),
        "stop": lambda: _stop(Supervisor(state_dir)),
        "status": lambda: _status(Supervisor(state_dir), as_json=arguments.json),
        "logs": lambda: _logs(arguments.role, follow=arguments.follow),
    }
    try:
        return verbs[arguments.verb]()
    except CannotStartError as exc:
        say(f"darkroom: {exc}")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./start.sh")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="start the whole system").add_mutually_exclusive_group()
    up.add_argument(
        "-d", "--detach", action="store_true", help="leave it running in the background"
    )
    up.add_argument("--foreground", action="store_true", help="stay until Ctrl-C, terminal or not")
    verbs.add_parser("stop", help="stop it")
    status = verbs.add_parser("status", help="show what runs")
    status.add_argument("--json", action="store_true", help="for programs")
    logs = verbs.add_parser("logs", help="show the last lines of the logs")
    logs.add_argument("role", nargs="?", default="")
    logs.add_argument("-f", "--follow", action="store_true", help="and what is added to them")
    return parser


def _stays_in_foreground(arguments: argparse.Namespace) -> bool:
    return bool(arguments.foreground or (sys.stdin.isatty() and not arguments.detach))


def _up(settings: EmbeddedSettings, *, stays: bool) -> int:
    supervisor = Supervisor(settings.state_folder)
    if supervisor.is_running():
        return _say_that_it_runs(settings)
    system = System(settings, supervisor)
    _end_by_exception()
    with WeightsProbe(settings.weights_folder) as probe, ExitStack() as undo:
        undo.callback(_clear_up, supervisor)
        system.start()
        say(greeting(system.addresses, about_resnet18(settings.models, probe.obstacle())))
        if stays:
            say("Ctrl-C stops everything.")
            _wait_for_the_end(supervisor)
        else:
            undo.pop_all()
    return 0


def _say_that_it_runs(settings: EmbeddedSettings) -> int:
    addresses = Addresses.kept()
    if addresses is None or not addresses.is_ready():
        say("Darkroom runs here already, but is not ready: see ./start.sh status")
        return 0
    say("Darkroom runs here already.")
    with WeightsProbe(settings.weights_folder) as probe:
        say(greeting(addresses, about_resnet18(settings.models, probe.obstacle())))
    return 0


def _end_by_exception() -> None:
    """Make the signals that ask for an end raise KeyboardInterrupt, however this was started."""
    for number in _ENDING_SIGNALS:
        if number is signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _clear_up(supervisor: Supervisor) -> None:
    """Stop what this process started; a second Ctrl-C does not cut that short."""
    for number in _ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if supervisor.is_ours:
        say("stopping")
        supervisor.stop()


def _wait_for_the_end(supervisor: Supervisor) -> None:
    """Wait until somebody else stops the system."""
    while supervisor.is_running():
        time.sleep(_PAUSE_S)


def _stop(supervisor: Supervisor) -> int:
    if not supervisor.is_running():
        say("Nothing runs here.")
        return 0
    supervisor.stop()
    say("Stopped.")
    return 0


def _status(supervisor: Supervisor, *, as_json: bool) -> int:
    is_running = supervisor.is_running()
    if as_json:
        say(json.dumps(_document(supervisor) if is_running else NOTHING_RUNS, indent=2))
    elif is_running:
        say(status_table(supervisor.processes()))
    else:
        say("Nothing runs here.")
    return 0 if is_running else _NOT_RUNNING


def _document(supervisor: Supervisor) -> Mapping[str, Any]:
    return status_document(
        supervisor.processes(), supervisor=supervisor.pid(), addresses=Addresses.kept()
    )


def _logs(role: str, *, follow: bool) -> int:
    logs = sorted(map(str, Path("log").glob(f"{role}*.log")))
    if not logs:
        known = sorted({path.stem.split("-")[0] for path in Path("log").glob("*.log")})
        say(f"There is no log of {role or 'anything'}; there is one of: {', '.join(known) or '-'}")
        return 1
    options = ["-n", _LOG_LINES] + (["-F"] if follow else [])
    return subprocess.call(["tail", *options, *logs])  # noqa: S603, S607 (POSIX has it everywhere)


if __name__ == "__main__":
    sys.exit(main())
