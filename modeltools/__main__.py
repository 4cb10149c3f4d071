"""The composition root of `./start.sh model`."""

import argparse
import sys
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from common import logs
from common.errors import PermanentError
from common.settings.consumer import ConsumerSettings
from common.settings.loading import load_or_exit
from common.settings.shared import ModelName
from engine.models.paths import ModelPaths

_REFUSED: Final = 1
_INTERRUPTED: Final = 130  # as a shell has it
_REPORTS: Final = "reports"


def main() -> int:
    """Do what the command line says; return the exit status."""
    asked = _parser().parse_args()
    settings = load_or_exit(ConsumerSettings)
    logs.configure(role="models", level="WARNING", style=settings.log_format)
    try:
        return _fetch(asked, settings) if asked.verb == "fetch" else _quantize(asked, settings)
    except PermanentError as exc:
        sys.stderr.write(f"darkroom: {exc}\n")
        return _REFUSED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except ImportError as exc:
        sys.stderr.write(f"darkroom: {exc}; install the extra: pip install -e '.[quantize]'\n")
        return _REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./start.sh model")
    parser.add_argument(
        "--relative-to", type=Path, default=Path(), help="relative folders are relative to this one"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    fetch = verbs.add_parser(
        "fetch",
        help="download and export models now, so that consumers need no access to the internet",
        description="Download and export models, and report the runtime of each, or why it is "
        "unavailable. Fails if all of them are unavailable.",
    )
    fetch.add_argument("--all", action="store_true", help="fail if any of them is unavailable")
    fetch.add_argument(
        "names", type=_model_name, metavar="NAME", nargs="*", help="default: DARKROOM_MODELS"
    )
    quantize = verbs.add_parser(
        "quantize",
        help="make a model that computes in fewer bits, with a report",
        description="Make the model NAME-int8 or NAME-bf16 from the model NAME, and report its "
        "speed and accuracy. It is not installed if fewer than 99 of 100 photographs get the same "
        "best label, or if there are fewer than 100 photographs.",
        epilog="A folder holds photographs, flat or in sub-folders; a sub-folder's name, or a "
        "file labels.csv with lines of file,label, gives their labels, as the model spells them.",
    )
    quantize.add_argument(
        "name", type=_model_name, metavar="NAME", help="a folder in models/ or a torchvision model"
    )
    quantize.add_argument(
        "--evaluate", metavar="FOLDER", required=True, help="photographs to compare both models on"
    )
    quantize.add_argument(
        "--calibrate", metavar="FOLDER", help="for int8: about a hundred typical photographs"
    )
    quantize.add_argument("--to", choices=["int8", "bf16"], default="int8", help="default: int8")
    quantize.add_argument("--force", action="store_true", help="install it in any case")
    return parser


def _model_name(text: str) -> str:
    try:
        return TypeAdapter(ModelName).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid model name") from None


def _fetch(asked: argparse.Namespace, settings: ConsumerSettings) -> int:
    from modeltools.fetching import fetch  # noqa: PLC0415 (slow, and --help is not)

    are_there = []
    for fetched in fetch(
        asked.names or settings.models, _places(settings), runtime=settings.runtime
    ):
        sys.stdout.write(f"{fetched}\n")
        sys.stdout.flush()
        are_there.append(fetched.is_there)
    is_enough = all(are_there) if asked.all else any(are_there)
    return 0 if is_enough else _REFUSED


def _places(settings: ConsumerSettings) -> ModelPaths:
    return ModelPaths(settings.models_dir.absolute(), settings.weights_dir.absolute())


def _quantize(asked: argparse.Namespace, settings: ConsumerSettings) -> int:
    from modeltools.quantizing.quantize import quantize  # noqa: PLC0415 (an extra)
    from modeltools.quantizing.request import QuantizeRequest  # noqa: PLC0415 (an extra)

    outcome = quantize(
        QuantizeRequest(
            name=asked.name,
            to=asked.to,
            calibrate=asked.relative_to / asked.calibrate if asked.calibrate else None,
            evaluate=asked.relative_to / asked.evaluate,
            force=asked.force,
            paths=_places(settings),
            reports=settings.state_dir.absolute() / _REPORTS,
            runtime=settings.runtime,
            threads=settings.threads_per_engine,
            max_pixels=settings.max_image_pixels,
        )
    )
    sys.stdout.write(f"{outcome.report.as_markdown()}\n")
    name = outcome.report.model
    if not outcome.is_installed:
        reasons = "; ".join(outcome.report.shortcomings())
        sys.stderr.write(
            f"darkroom: {name} is not installed: {reasons}. --force installs it in any case. "
            f"The report is in {outcome.file}\n"
        )
        return _REFUSED
    sys.stdout.write(f"Installed. To serve it: DARKROOM_MODELS={name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
