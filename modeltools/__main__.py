"""The composition root of what is done with models by hand."""

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
        "--relative-to", type=Path, default=Path(), help="where the paths of folders begin"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    fetch = verbs.add_parser(
        "fetch",
        help="download and export models now, so that consumers need no access to the internet",
        description="Download and export models, and report what will compute each, or why it "
        "is unavailable. Fails if all of them are.",
    )
    fetch.add_argument("--all", action="store_true", help="fail if any of them is unavailable")
    fetch.add_argument(
        "names", type=_model_name, metavar="NAME", nargs="*", help="default: DARKROOM_MODELS"
    )
    quantize = verbs.add_parser(
        "quantize",
        help="make a model that computes in fewer bits, with a report",
        description="Make the model NAME-int8 or NAME-bf16 of the model NAME, and a report of "
        "what it gains and loses. It is not installed where fewer than 99 of 100 photographs get "
        "the same best label, or fewer than 100 photographs are there to judge by.",
        epilog="A folder holds photographs, flat or in sub-folders; a sub-folder's name, or a "
        "file labels.csv with lines of file,label, says what they show, in the model's words.",
    )
    quantize.add_argument(
        "name", type=_model_name, metavar="NAME", help="a folder or torchvision's"
    )
    quantize.add_argument(
        "--evaluate", metavar="FOLDER", required=True, help="compare the two on these"
    )
    quantize.add_argument(
        "--calibrate", metavar="FOLDER", help="for int8: photographs of the usual kind, a hundred"
    )
    quantize.add_argument("--to", choices=["int8", "bf16"], default="int8", help="default: int8")
    quantize.add_argument("--force", action="store_true", help="install it all the same")
    return parser


def _model_name(text: str) -> str:
    try:
        return TypeAdapter(ModelName).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a model") from None


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
            f"darkroom: {name} is not installed: {reasons}. --force installs it all the same. "
            f"The report is kept in {outcome.file}\n"
        )
        return _REFUSED
    sys.stdout.write(f"Installed: DARKROOM_MODELS={name} serves it.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
