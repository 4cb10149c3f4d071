"""A later version of the code: a copy of this one with ``drills/later.patch`` applied to it.

The patch adds a member to each object that is recorded or sent, and a state to jobs and to models.
"""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Final

from standalone.programs import Program

MEMBER: Final = "later"  # what the patch adds everywhere

_ROOT: Final = Path(__file__).parents[1]
_PATCH: Final = Path(__file__).with_name("drills") / "later.patch"
# What the roles import, and what a drill may have them import first.
_PACKAGES: Final = ("api", "common", "consumer", "courier", "engine", "testbed", "tests")
_LIMIT_S: Final = 60


def make_later_version(folder: Path) -> Path:
    """Copy the code into the new *folder*, and change it into that of the later version."""
    for package in _PACKAGES:
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_ROOT / package, folder / package, ignore=without)
    # With less context than usual: the code around it changes more often than the patch.
    command = ("git", "apply", "-C1", str(_PATCH))
    # In a repository git would apply nothing outside of it, and say nothing.
    outside = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    subprocess.run(command, cwd=folder, env=os.environ | outside, check=True, timeout=_LIMIT_S)  # noqa: S603 (our own command)
    return folder


def in_version(program: Program, folder: Path) -> Program:
    """Run *program*, one of our roles, from the code in *folder*."""
    changed = ("env", "--chdir", str(folder), f"PYTHONPATH={folder}")
    return replace(program, command=(*changed, *program.command))
