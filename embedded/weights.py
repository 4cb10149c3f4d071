"""Whether this machine can have the weights of torchvision's resnet18."""

import subprocess
import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Final, Self

# The address that torchvision has for the default weights of resnet18.
_URL: Final = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
_PATIENCE_S: Final = 3


class WeightsProbe:
    """Looks for the weights, here and at their origin, while other things happen.

    In a process of its own: a name server may hang for longer than any timeout covers, and
    a thread that hangs in it could not be ended.
    """

    def __init__(self, weights_dir: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, __file__, str(weights_dir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def obstacle(self) -> str:
        """Say why the weights cannot be had; empty if they can."""
        try:
            said, _ = self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return f"download.pytorch.org does not answer within {_PATIENCE_S} s"
        return said.strip()


def _obstacle(weights_dir: Path) -> str:
    if any(weights_dir.rglob("resnet18-*.pth")):
        return ""
    try:
        request = urllib.request.Request(_URL, method="HEAD")
        urllib.request.urlopen(request, timeout=_PATIENCE_S).close()  # noqa: S310 (https, above)
    except (OSError, HTTPException) as exc:
        return f"download.pytorch.org cannot be reached: {getattr(exc, 'reason', exc)}"
    return ""


if __name__ == "__main__":
    print(_obstacle(Path(sys.argv[1])))  # noqa: T201 (the parent reads it)
