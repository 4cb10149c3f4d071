"""nginx, in front: its configuration from the template, and its own folder."""

import grp
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from standalone.errors import CannotStartError
from standalone.files import write_private
from standalone.programs import HOST, Port, Program, Stage

_TEMPLATE: Final = Path(__file__).parent.parent / "nginx" / "nginx.conf.template"
_PLACEHOLDER: Final = re.compile(r"\$\{(DARKROOM_[A-Z_]+)\}")
# A plain user's PATH may lack it.
_SYSTEM_PATH: Final = "/usr/sbin:/sbin"
_NO_PROXY: Final = "unix:"
# Asked for names only, and the api has an address here.
_RESOLVER: Final = HOST
# Less than uWSGI gives a request before it ends the process (uwsgi.ini).
REQUEST_LIMIT_S: Final = 60
_UNLIMITED: Final = 1_000_000
# nginx knows no larger limit of connections.
_MOST_CONNECTIONS: Final = 65_535


def render(template: str, values: Mapping[str, str]) -> str:
    """Fill in the ``${DARKROOM_...}`` of *template*; nginx's own variables stay.

    Raises:
        KeyError: The template names a value that is not among *values*.
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneNginx:
    """One nginx with its configuration, process id and temporary files in *folder*."""

    folder: Path
    port: int
    api_socket: Path
    max_body_bytes: int
    rate_limit: int = _UNLIMITED
    connection_limit: int = _MOST_CONNECTIONS
    trusted_proxy: str = ""
    request_limit_s: int = REQUEST_LIMIT_S

    def prepare(self) -> None:
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        values = {
            "DARKROOM_LISTEN": f"{HOST}:{self.port}",
            "DARKROOM_API": f"unix:{self.api_socket}",
            "DARKROOM_RESOLVER": _RESOLVER,
            "DARKROOM_MAX_BODY_BYTES": str(self.max_body_bytes),
            "DARKROOM_RATE_LIMIT": str(self.rate_limit),
            "DARKROOM_CONNECTION_LIMIT": str(self.connection_limit),
            "DARKROOM_REQUEST_LIMIT_S": str(self.request_limit_s),
            "DARKROOM_TRUSTED_PROXY": self.trusted_proxy or _NO_PROXY,
        }
        write_private(self.folder / "nginx.conf", render(_TEMPLATE.read_text(), values))

    def program(self) -> Program:
        return Program(
            name="nginx",
            role="nginx",
            stage=Stage.FRONT,
            command=_command(_binary(), self.folder),
            ports=(Port(self.port, "DARKROOM_PORT"),),
            stop_signal="QUIT",  # after the requests in hand
        )


def _binary() -> str:
    found = shutil.which("nginx", path=os.pathsep.join((os.environ["PATH"], _SYSTEM_PATH)))
    if found is None:
        raise CannotStartError("nginx is not installed; ./start.sh installs it")
    return found


def _command(binary: str, folder: Path) -> tuple[str, ...]:
    command = (binary, "-p", f"{folder}/", "-c", "nginx.conf", *_as_this_user())
    if "-e filename" not in _help(binary):  # nginx before 1.19.5
        return command
    # Or it opens the machine's error log before it reads the configuration.
    return (*command, "-e", "stderr")


def _help(binary: str) -> str:
    asked = subprocess.run([binary, "-h"], capture_output=True, text=True, check=False)  # noqa: S603 (found in PATH)
    return asked.stderr + asked.stdout


def _as_this_user() -> tuple[str, ...]:
    """Keep root's workers root: the user they would become cannot read root's folders.

    Source: https://nginx.org/en/docs/ngx_core_module.html#user
    """
    if os.geteuid() != 0:
        return ()  # the directive has no meaning for anyone else, and draws a warning
    user = pwd.getpwuid(os.geteuid())
    return ("-g", f"user {user.pw_name} {grp.getgrgid(user.pw_gid).gr_name};")
