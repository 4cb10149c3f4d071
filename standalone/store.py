"""The built-in store: nx-27017, which speaks MongoDB's protocol over SQLite files."""

import sys
from dataclasses import dataclass
from pathlib import Path

from standalone.programs import HOST, Port, Program, Stage
from standalone.readiness import listens


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneStore:
    """One server with its files in *folder*."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"mongodb://{HOST}:{self.port}"

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # It refuses to start if any process has the id in an old file.
        self._pid_file.unlink(missing_ok=True)

    def program(self) -> Program:
        return Program(
            name="store",
            role="store",
            stage=Stage.SERVERS,
            command=(
                sys.executable, "-m", "nx_27017.nx_27017",
                "--host", HOST,
                "--port", str(self.port),
                # With --db all databases would share one set of collections.
                "--data-dir", str(self.folder / "databases"),
                "--pid-file", str(self._pid_file),
                # It also logs to standard error, which is kept and rotated.
                "--log-file", "/dev/null",
            ),
            ports=(Port(self.port, "DARKROOM_MONGO_PORT"),),
            is_ready=lambda: listens(self.port),
            needed_by=Stage.WORKERS,
            writes_to=self.folder,
        )  # fmt: skip

    @property
    def _pid_file(self) -> Path:
        return self.folder / "nx-27017.pid"
