"""Export one model, in a process of its own: ``python -m engine.models.exporting NAME ...``.

torch takes seconds to load and keeps hundreds of megabytes; the engine that asked for this
needs neither. Ends with status 0 once there is a record of the model, be it that torch has to
serve it; with ``UNAVAILABLE`` and a reason on standard output if it cannot be had at all.
"""

import argparse
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.models.errors import ModelUnavailableError
from engine.models.exports import Export, digests, installed_torchvision
from engine.models.places import Places
from engine.models.probe import probe
from engine.runtimes.agreement import NotTheSameError

if TYPE_CHECKING:
    from engine.models.pretrained import Pretrained

UNAVAILABLE: Final = 3


def main() -> int:
    """Export what the command line names; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--weights-dir", type=Path, required=True)
    asked = parser.parse_args()
    try:
        export_model(asked.name, Places(asked.models_dir, asked.weights_dir))
    except ModelUnavailableError as exc:
        sys.stdout.write(str(exc))
        return UNAVAILABLE
    return 0


def export_model(name: str, places: Places) -> None:
    """Export the model *name*, unless somebody has done it meanwhile.

    Raises:
        ModelUnavailableError: It cannot be had.
    """
    places.exports.folder.mkdir(parents=True, exist_ok=True)
    with _locked(places.exports.lock_file(name)):
        if places.valid_export(name) is None:
            from engine.models.loading import load_pretrained  # noqa: PLC0415 (loads torch)

            _export(name, load_pretrained(name, places), places)


def _export(name: str, model: "Pretrained", places: Places) -> None:
    from engine.runtimes.export import export  # noqa: PLC0415 (loads torch)

    preprocessing = model.kit.preprocessing
    file = f"{name}-{model.kit.version.removeprefix('sha256:')}.onnx"
    draft = places.exports.path(f"{file}.draft")
    difference, reason = None, ""
    try:
        difference = export(
            model.module, probe(preprocessing), draft, is_fixed=preprocessing.gives_one_size
        )
        draft.rename(places.exports.path(file))
    except NotTheSameError as exc:
        draft.unlink(missing_ok=True)
        reason = str(exc)
    places.exports.put(
        name,
        Export(
            kit=model.kit,
            sources=digests(model.sources, base=places.base(name)),
            torchvision=installed_torchvision() or "",
            file=None if reason else file,
            reason=reason,
            largest_difference=difference,
            remark=model.remark,
            from_folder=places.folder(name) is not None,
        ),
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process has *path* locked; the kernel unlocks it for the dead."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
