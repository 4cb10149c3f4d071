"""Quantize a model, and install the result if it agrees with the original."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modeltools.quantizing.bf16 import write_bf16
from modeltools.quantizing.errors import CannotQuantizeError
from modeltools.quantizing.installing import (
    NETWORK_FILE,
    add_report,
    describe,
    draft_of,
    install,
    write_report,
)
from modeltools.quantizing.int8 import write_int8
from modeltools.quantizing.measuring import measure
from modeltools.quantizing.photographs import Photographs
from modeltools.quantizing.report import ENOUGH_AGREEMENT, Calibration, Report
from modeltools.quantizing.request import QuantizeRequest
from modeltools.quantizing.source import Source

# More hardly improve the ranges, and all of them are held in memory.
_MOST_TO_CALIBRATE: Final = 200


@dataclass(frozen=True, slots=True)
class Quantized:
    """The report, where it lies, and whether the model is installed."""

    report: Report
    file: Path
    is_installed: bool


def quantize(request: QuantizeRequest) -> Quantized:
    """Do what *request* says.

    Raises:
        CannotQuantizeError: That is not possible; the text says why and what to do.
        ModelUnavailableError: The model that it is made from cannot be loaded.
    """
    with draft_of(request.target) as draft:
        source = Source.find(request)
        photographs = source.photographs(request.evaluate, request)
        if request.to == "bf16":
            write_bf16(source.file, draft / NETWORK_FILE)
            calibration = None
        else:
            calibration = _calibrated(source, draft / NETWORK_FILE, request, photographs)
        describe(draft, request.name, source.spec, request.to)
        report = measure(request, source, draft, photographs, calibration)
        if report.shortcomings() and not request.force:
            kept = write_report(request.reports, request.target.name, report)
            return Quantized(report, kept, is_installed=False)
        add_report(draft, report)
        install(draft, request.target)
    return Quantized(report, request.target / "report.md", is_installed=True)


def _calibrated(
    source: Source, target: Path, request: QuantizeRequest, evaluation: Photographs
) -> Calibration:
    if request.calibrate is None:
        raise CannotQuantizeError("int8 needs --calibrate FOLDER, a folder of typical photographs")
    sample = source.photographs(request.calibrate, request).sample(_MOST_TO_CALIBRATE)
    read = dict(sample.tensors())
    if not read:
        file, reason = next(iter(sample.skipped.items()))
        raise CannotQuantizeError(f"no file can be read; the first is {file}: {reason}")
    float32_layers = write_int8(source.file, target, list(read.values()), enough=ENOUGH_AGREEMENT)
    evaluated = {one.path.resolve() for one in evaluation.files}
    return Calibration(
        photographs=len(read),
        also_evaluated=sum(one.path.resolve() in evaluated for one in read),
        skipped=sample.skipped,
        float32_layers=float32_layers,
    )
