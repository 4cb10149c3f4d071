"""The system as ``./start.sh`` runs it: under its supervisor, with all state on one disk."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.database import Database

from standalone.programs import HOST
from standalone.rabbitmq import Credentials, StandaloneRabbitMQ
from standalone.settings import ROOT
from testbed.disks import SmallDisk, see_mounts_alone
from testbed.ports import free_ports
from testbed.system import BRISK, Plan, System

_PORTS: Final = 7
_MONGO_STEP: Final = 2
_AMQP_STEP: Final = 3
_LIMIT_S: Final = 180


class Supervised(System):
    """The standalone system. A drill cannot harm its servers one by one."""

    def __init__(
        self, folder: Path, plan: Plan, *, node: StandaloneRabbitMQ | None = None
    ) -> None:  # not that of System: it makes servers
        assert node is None, "a standalone system always runs its own RabbitMQ"
        folder.mkdir(parents=True)
        self.folder = folder
        self._plan = plan
        self.disks: dict[str, SmallDisk] = {}
        self._port = free_ports(_PORTS)
        self.url = f"http://{HOST}:{self._port}"
        self.state = folder / "state"
        self.environment = {
            "DARKROOM_STATE_DIR": str(self.state),
            "DARKROOM_PORT": str(self._port),
            "DARKROOM_CONSUMERS": str(plan.consumers),
            **BRISK,
            **plan.settings,
        }

    def start(self) -> None:
        see_mounts_alone()
        [(_, mib)] = self._plan.disks.items()
        self.disks["state"] = SmallDisk.mounted_at(self.state, mib=mib)
        started = self.command("up", "-d")
        assert started.returncode == 0, started.stdout + started.stderr

    def stop(self) -> dict[str, int | None]:
        stopped = self.command("stop")
        for disk in self.disks.values():
            # What it wrote vanishes with the disk, but for what tells why a drill failed.
            shutil.copytree(self.state / "log", self.folder / "log")
            disk.unmount()
        return {"./start.sh stop": stopped.returncode}

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return status

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run ``./start.sh`` with these arguments."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DARKROOM_")}
        return subprocess.run(  # noqa: S603 (our own command)
            [sys.executable, "-m", "standalone", *words],
            env={**inherited, **self.environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT_S,
        )

    @contextmanager
    def database(self) -> Iterator[Database[dict[str, Any]]]:
        url = f"mongodb://{HOST}:{self._port + _MONGO_STEP}"
        with MongoClient[dict[str, Any]](
            url, tz_aware=True, serverSelectionTimeoutMS=5000, socketTimeoutMS=30_000
        ) as client:
            yield client["darkroom"]

    @property
    def broker_url(self) -> str:
        kept = Credentials.kept_in(self.state / "rabbitmq" / "credentials.json")
        return f"amqp://{kept.user}:{kept.password}@{HOST}:{self._port + _AMQP_STEP}/%2F"
