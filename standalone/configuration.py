"""The configuration of supervisord: its own settings, and those of each program."""

import os
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Final

from standalone.programs import Program

_HEAD: Final = """\
[supervisord]
nodaemon = true
silent = true
logfile = log/supervisor.log
logfile_maxbytes = 10MB
logfile_backups = 3
pidfile = run/supervisor.pid
user = {user}

[unix_http_server]
file = {socket}
chmod = 0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

_GROUP: Final = """
[group:{stage}]
programs = {names}
priority = {priority}
"""

# A program that keeps dying is started again after 1, 2, 3, ... 60 seconds, half an hour in all.
_PROGRAM: Final = """
[program:{name}]
command = python -m standalone.launch {name}
directory = %(ENV_DARKROOM_ROOT)s
autostart = false
autorestart = true
startsecs = 1
startretries = 60
stopsignal = {stop_signal}
stopwaitsecs = {stop_within_s}
killasgroup = true
redirect_stderr = true
stdout_events_enabled = true
stdout_logfile = log/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


def configuration(programs: Iterable[Program], socket_path: Path) -> str:
    """Write supervisord's configuration for *programs*."""
    head = _HEAD.format(socket=socket_path, user=os.geteuid())
    ordered = sorted(programs, key=lambda program: program.stage)
    groups = (
        _GROUP.format(
            stage=stage.name.lower(),
            names=",".join(program.name for program in members),
            priority=stage.value,
        )
        for stage, members in groupby(ordered, key=lambda program: program.stage)
    )
    sections = (
        _PROGRAM.format(
            name=program.name,
            stop_signal=program.stop_signal,
            stop_within_s=program.stop_within_s,
        )
        for program in ordered
    )
    return "".join((head, *groups, *sections))
