"""The composition root of the standalone system: up, stop, status, logs."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from common.settings.loading import load_or_exit
from standalone.addresses import Addresses
from standalone.console import say
from standalone.errors import CannotStartError
from standalone.facts import Facts
from standalone.leftovers import Leftover, describe
from standalone.remembered import differences
from standalone.settings import StandaloneSettings
from standalone.state import in_one_line, prepare
from standalone.status import NOTHING_RUNS, greeting, status_document, status_text
from standalone.supervision import Supervisor
from standalone.system import System

_NOT_RUNNING_HERE: Final = "Darkroom is not running in this folder."
# The logs of servers are shown only on request.
_OUR_ROLES: Final = {"api", "consumer", "courier"}
_ALL: Final = "all"
_NOT_RUNNING: Final = 3  # as `systemctl status` has it
_INTERRUPTED: Final = 130  # as a shell has it
_LOG_LINES: Final = "40"
_PAUSE_S: Final = 0.2
_MODELS_SETTLE_WITHIN_S: Final = 3.0
_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    arguments = _parser().parse_args()
    settings = load_or_exit(StandaloneSettings)
    state_dir = settings.state_folder
    os.umask(0o077)  # only the owner may read the state
    verbs: Mapping[str, Callable[[], int]] = {
        "up": lambda: _up(settings, stays=_stays_in_foreground(arguments)),
        "stop": lambda: _stop(Supervisor(state_dir)),
        "status": lambda: _status(Supervisor(state_dir), as_json=arguments.json),
        "logs": lambda: _logs(arguments.role, follow=arguments.follow),
    }
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chdir(state_dir)  # the supervisor's paths are relative to it
        return verbs[arguments.verb]()
    except CannotStartError as exc:
        say(f"darkroom: {exc}")
        return 1
    except OSError as exc:
        say(f"darkroom: {in_one_line(exc)}")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./start.sh")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="start the system").add_mutually_exclusive_group()
    up.add_argument(
        "-d", "--detach", action="store_true", help="leave it running in the background"
    )
    up.add_argument(
        "--foreground", action="store_true", help="run until Ctrl-C, even without a terminal"
    )
    verbs.add_parser("stop", help="stop it")
    status = verbs.add_parser("status", help="show the state of the system")
    status.add_argument("--json", action="store_true", help="print JSON")
    logs = verbs.add_parser("logs", help="show the last lines of the logs")
    logs.add_argument(
        "role",
        nargs="?",
        default="",
        help="one role, or `all` for every program; default: api, consumers, courier",
    )
    logs.add_argument("-f", "--follow", action="store_true", help="follow the logs")
    return parser


def _stays_in_foreground(arguments: argparse.Namespace) -> bool:
    return bool(arguments.foreground or (sys.stdin.isatty() and not arguments.detach))


def _up(settings: StandaloneSettings, *, stays: bool) -> int:
    supervisor = Supervisor(settings.state_folder)
    if supervisor.is_running():
        return _say_that_it_runs(settings, supervisor)
    if leftovers := supervisor.leftovers():
        raise CannotStartError(
            f"the supervisor has died, but these programs still run: {describe(leftovers)}; "
            "stop them first: ./start.sh stop"
        )
    prepare(settings.state_folder)
    system = System(settings, supervisor)
    _end_by_exception()
    with ExitStack() as undo:
        undo.callback(_clear_up, supervisor)
        system.start()
        facts = _settled_facts(supervisor)
        say(greeting(system.addresses, facts))
        if facts.obstacle:
            say(f"It accepts no images now: {facts.obstacle}")
        if stays:
            say("Ctrl-C stops everything.")
            _wait_for_the_end(supervisor)
        else:
            undo.pop_all()
    return 0


def _say_that_it_runs(settings: StandaloneSettings, supervisor: Supervisor) -> int:
    if others := differences(settings):
        say("Darkroom is already running in this folder with other settings:")
        for other in others:
            say(f"  {other}")
        say("To use the new settings, run ./start.sh stop, then this command again.")
        return 1
    addresses, facts = Addresses.kept(), _facts(supervisor)
    if addresses is None or not facts.is_ready:
        say(f"Darkroom is already running in this folder, but it is not ready: {facts.obstacle}")
        return 0
    say("Darkroom is already running in this folder.")
    say(greeting(addresses, facts))
    return 0


def _settled_facts(supervisor: Supervisor) -> Facts:
    """Ask again for a moment while models load: /models lags a second behind /readyz."""
    deadline = time.monotonic() + _MODELS_SETTLE_WITHIN_S
    while (facts := _facts(supervisor)).is_loading and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    return facts


def _facts(supervisor: Supervisor) -> Facts:
    addresses = Addresses.kept()
    if addresses is None:
        return Facts()
    return Facts.ask(addresses, uptime_s=supervisor.uptime_s())


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
        if ended := supervisor.end_leftovers():
            say(f"Stopped programs that had outlived their supervisor: {describe(ended)}.")
        else:
            say(_NOT_RUNNING_HERE)
        return 0
    supervisor.stop()
    say("Stopped.")
    return 0


def _status(supervisor: Supervisor, *, as_json: bool) -> int:
    if not supervisor.is_running():
        return _status_of_nothing(supervisor.leftovers(), as_json=as_json)
    processes, addresses = supervisor.processes(), Addresses.kept()
    facts = _facts(supervisor)
    if as_json:
        document = status_document(
            processes, supervisor=supervisor.pid(), addresses=addresses, facts=facts
        )
        say(json.dumps(document, indent=2))
    else:
        say(status_text(processes, addresses=addresses, facts=facts))
    return 0


def _status_of_nothing(leftovers: Sequence[Leftover], *, as_json: bool) -> int:
    if as_json:
        left = {one.name: list(one.pids) for one in leftovers}
        say(json.dumps({**NOTHING_RUNS, **({"leftovers": left} if left else {})}, indent=2))
    else:
        say(_NOT_RUNNING_HERE)
        if leftovers:
            say(f"Its supervisor has died, but these programs still run: {describe(leftovers)}.")
            say("To stop them: ./start.sh stop")
    return _NOT_RUNNING


def _logs(role: str, *, follow: bool) -> int:
    found = {str(path): path.stem.split("-")[0] for path in sorted(Path("log").glob("*.log"))}
    if role == _ALL:
        logs = list(found)
    else:
        logs = [log for log, of in found.items() if of == role or (not role and of in _OUR_ROLES)]
    if not logs:
        known = ", ".join(sorted(set(found.values()))) or "none"
        say(f"There are no logs of {role or 'the roles'}. Available logs: {known}.")
        return 1
    options = ["-n", _LOG_LINES] + (["-F"] if follow else [])
    return subprocess.call(["tail", *options, *logs])  # noqa: S603, S607 (POSIX has it everywhere)


if __name__ == "__main__":
    sys.exit(main())
