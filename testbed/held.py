"""A model that a test holds: its jobs stay in work until the test lets go."""

from pathlib import Path
from typing import Final

# Over any image but the one of 64 pixels, with which the engine warms up. One of three takes the
# engine along.
_HELD: Final = """
import os
import signal
import time
from pathlib import Path

HERE = Path(__file__).parent

class Predictor:
    def load(self):
        pass

    def predict(self, images):
        if images[0].width == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if images[0].width != 64:
            with (HERE / "inferences").open("a") as inferences:
                inferences.write("one more\\n")
            while (HERE / "hold").exists():
                time.sleep(0.02)
        return [[("held", 1.0)] for _ in images]
"""
# Longer than any test holds a job.
_TIME_LIMIT_S: Final = 600


class HeldModel:
    """A model that works on an image for as long as a test wants, and counts its images."""

    name = "held"

    def __init__(self, folder: Path) -> None:
        self._models = folder / "models"
        self._home = self._models / self.name

    def install(self) -> dict[str, str]:
        """Write the model, and return the settings with which roles serve it."""
        self._home.mkdir(parents=True)
        (self._home / "predictor.py").write_text(_HELD)
        (self._home / "model.toml").write_text('predictor = "predictor:Predictor"')
        return {
            "DARKROOM_MODELS": self.name,
            "DARKROOM_MODELS_DIR": str(self._models),
            "DARKROOM_JOB_TIME_LIMIT_S": str(_TIME_LIMIT_S),
        }

    def hold(self) -> None:
        """Make every inference last until :meth:`let_go`, and count inferences from now on."""
        self._inferences.unlink(missing_ok=True)
        (self._home / "hold").touch()

    def let_go(self) -> None:
        (self._home / "hold").unlink(missing_ok=True)

    @property
    def inferences(self) -> int:
        """The number of images since it was held."""
        return len(self._inferences.read_text().splitlines()) if self._inferences.exists() else 0

    @property
    def _inferences(self) -> Path:
        return self._home / "inferences"
