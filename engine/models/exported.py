"""The export of a model, which is made now if there is none."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import structlog

from engine.models.errors import ModelUnavailableError
from engine.models.exports import Export, Exports
from engine.models.origin import Origin
from engine.runtimes.equivalence import NotEquivalentError

log = structlog.stdlib.get_logger(__name__)

# The exit status of the process that exports, for a model that cannot be loaded at all.
UNAVAILABLE: Final = 3


def export_of(origin: Origin) -> tuple[Path, Export]:
    """Return the file that a model is exported to, and the record of the export.

    Raises:
        NotEquivalentError: Only torch can compute it; the text says why.
        ModelUnavailableError: It cannot be loaded.
    """
    exports = Exports.below(origin.paths.weights)
    export = exports.find(origin) or _made(origin, exports)
    if export.file is None:
        raise NotEquivalentError(export.reason)
    return exports.path(export.file), export


def _made(origin: Origin, exports: Exports) -> Export:
    if find_spec("torch") is None:
        raise ModelUnavailableError(
            "it has no export, and torch, which makes one, is not installed"
        )
    log.info("exporting", model=origin.name)
    failure = _export_in_a_process(origin)
    export = exports.find(origin)
    if export is None:
        raise NotEquivalentError(failure)
    return export


def _export_in_a_process(origin: Origin) -> str:
    """Export a model; return why there is no record of that, if there is none.

    Raises:
        ModelUnavailableError: It cannot be loaded.
    """
    command = [sys.executable, "-m", "engine.models.exporting", origin.name]
    paths = origin.paths
    folders = ["--models-dir", str(paths.models), "--weights-dir", str(paths.weights)]
    ended = subprocess.run(  # noqa: S603 (our own command)
        [*command, *folders], check=False, stdout=subprocess.PIPE, text=True
    )
    if ended.returncode == UNAVAILABLE:
        raise ModelUnavailableError(ended.stdout)
    return f"the export ended with status {ended.returncode}"
