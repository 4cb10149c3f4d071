"""The machine that the figures come from: hardware, versions, load."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

from common.cores import available_cores
from common.memory import total_bytes
from testbed.broker import Broker, make_node
from testbed.server import running

_PACKAGES: Final = (
    "torch", "torchvision", "onnxruntime", "openvino", "numpy", "pillow", "pymongo", "pika",
    "flask", "pyuwsgi", "nx-27017",
)  # fmt: skip
_SYSTEM_PATH: Final = "/usr/sbin:/sbin:/opt/homebrew/sbin"
_GIBIBYTE: Final = 1024**3
_WITHIN_S: Final = 30


def describe(folder: Path) -> dict[str, str]:
    """Describe each in a few words; *folder* takes what RabbitMQ writes."""
    commit = _said("git", "rev-parse", "--short", "HEAD")
    changed = " and changes" if _said("git", "status", "--porcelain") else ""
    processor = re.search(r"^Model name: *(.+)$", _said("lscpu"), re.MULTILINE)
    return {
        "processor": processor[1] if processor else platform.processor(),
        "cores": f"{available_cores()} used, of {os.cpu_count()}",
        "memory": f"{total_bytes() / _GIBIBYTE:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load at the start": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "commit": f"{commit}{changed}",
        "python": platform.python_version(),
        "nginx": _said("nginx", "-v").rpartition("/")[2],
        "rabbitmq": _rabbitmq_version(folder),
        **{name: version(name) for name in _PACKAGES},
    }


def _rabbitmq_version(folder: Path) -> str:
    """Ask beside a port mapper (epmd) of our own: Erlang would start one that never ends."""
    node = make_node(folder)
    port_mapper, _ = node.programs()
    with running(port_mapper):
        return Broker(node).control("version").partition("\n")[0]


def _said(name: str, *arguments: str) -> str:
    """Return a program's output, or nothing if there is no such program."""
    program = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], _SYSTEM_PATH)))
    if program is None:
        return ""
    ended = subprocess.run(  # noqa: S603 (found in PATH)
        [program, *arguments], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=_WITHIN_S,
    )  # fmt: skip
    return ended.stdout.strip()
