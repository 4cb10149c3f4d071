"""Export one model, in a process of its own: ``python -m engine.models.exporting NAME ...``.

torch takes seconds to load and keeps hundreds of megabytes, which the engine that starts this
process avoids. The exit status is 0 once there is a record of the export, even if that says that
only torch can serve the model. It is ``UNAVAILABLE``, with the reason on standard output, if the
model cannot be loaded.
"""

import argparse
import fcntl
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.models.errors import ModelUnavailableError
from engine.models.exported import UNAVAILABLE
from engine.models.exports import Export, Exports, digests, installed_torchvision
from engine.models.origin import Origin
from engine.models.paths import ModelPaths
from engine.models.pretrained import Pretrained
from engine.models.pretrained_loading import load_pretrained
from engine.models.probe import probe
from engine.runtimes.equivalence import NotEquivalentError
from engine.runtimes.export import export

# torch makes hundreds of thousands of objects here that live until the end. With Python's
# threshold of 700 new ones, the collector takes a sixth of the time.
_COLLECT_AFTER: Final = 100_000


def main() -> int:
    """Export what the command line names; return the exit status."""
    gc.set_threshold(_COLLECT_AFTER)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--weights-dir", type=Path, required=True)
    asked = parser.parse_args()
    try:
        export_model(Origin.find(asked.name, ModelPaths(asked.models_dir, asked.weights_dir)))
    except ModelUnavailableError as exc:
        sys.stdout.write(str(exc))
        return UNAVAILABLE
    return 0


def export_model(origin: Origin) -> None:
    """Export a model, unless another process has done so meanwhile.

    Raises:
        ModelUnavailableError: It cannot be loaded.
    """
    exports = Exports.below(origin.paths.weights)
    exports.folder.mkdir(parents=True, exist_ok=True)
    with _locked(exports.lock_file(origin.name)):
        if exports.find(origin) is None:
            _export(origin, load_pretrained(origin), exports)


def _export(origin: Origin, model: Pretrained, exports: Exports) -> None:
    preprocessing = model.spec.preprocessing
    file = f"{origin.name}-{model.spec.version.removeprefix('sha256:')}.onnx"
    draft = exports.path(f"{file}.draft")
    difference, reason = None, ""
    try:
        difference = export(
            model.module, probe(preprocessing), draft, is_fixed=preprocessing.gives_one_size
        )
        draft.rename(exports.path(file))
    except NotEquivalentError as exc:
        draft.unlink(missing_ok=True)
        reason = str(exc)
    exports.put(
        origin.name,
        Export(
            spec=model.spec,
            sources=digests(model.sources, base=origin.folder or origin.paths.weights),
            torchvision=installed_torchvision() or "",
            file=None if reason else file,
            reason=reason,
            largest_difference=difference,
            remark=model.remark,
            from_folder=origin.folder is not None,
        ),
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock *path* against other processes; the kernel unlocks it when this one ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
