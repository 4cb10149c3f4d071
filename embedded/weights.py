"""Whether this machine can have the weights of torchvision's resnet18."""

import threading
import urllib.request
from pathlib import Path
from typing import Final
from urllib.error import URLError

# The address that torchvision has for the default weights of resnet18.
_URL: Final = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
_PATIENCE_S: Final = 3


class WeightsProbe:
    """Looks for the weights, here and at their origin, while other things happen."""

    def __init__(self, weights_dir: Path) -> None:
        self._weights_dir = weights_dir
        self._obstacle = f"download.pytorch.org does not answer within {_PATIENCE_S} s"
        # A name server may hang for longer than any timeout covers: nobody waits for this.
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def obstacle(self) -> str:
        """Say why the weights cannot be had; empty if they can."""
        self._thread.join(_PATIENCE_S)
        return self._obstacle

    def _look(self) -> None:
        if any(self._weights_dir.rglob("resnet18-*.pth")):
            self._obstacle = ""
            return
        try:
            request = urllib.request.Request(_URL, method="HEAD")
            urllib.request.urlopen(request, timeout=_PATIENCE_S).close()  # noqa: S310 (https, above)
        except URLError as exc:
            self._obstacle = f"download.pytorch.org cannot be reached: {exc.reason}"
        except OSError as exc:
            self._obstacle = f"download.pytorch.org cannot be reached: {exc}"
        else:
            self._obstacle = ""
