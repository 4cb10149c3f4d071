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
from modeltools.quantizing.order import Order
from modeltools.quantizing.photographs import Photographs
from modeltools.quantizing.report import ENOUGH_AGREEMENT, Calibration, Report
from modeltools.quantizing.source import Source

# More hardly improve the ranges, and all of them are held in memory.
_MOST_TO_CALIBRATE: Final = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """The report, where it lies, and whether the model is installed."""

    report: Report
    file: Path
    is_installed: bool


def quantize(order: Order) -> Outcome:
    """Do what *order* says.

    Raises:
        CannotQuantizeError: That is not possible; the text says why and what to do.
        ModelUnavailableError: The model that it is made from cannot be loaded.
    """
    with draft_of(order.target) as draft:
        source = Source.find(order)
        photographs = source.photographs(order.evaluate, order)
        if order.to == "bf16":
            write_bf16(source.file, draft / NETWORK_FILE)
            calibration = None
        else:
            calibration = _calibrated(source, draft / NETWORK_FILE, order, photographs)
        describe(draft, order.name, source.kit, order.to)
        report = measure(order, source, draft, photographs, calibration)
        if report.shortcomings() and not order.force:
            kept = write_report(order.reports, order.target.name, report)
            return Outcome(report, kept, is_installed=False)
        add_report(draft, report)
        install(draft, order.target)
    return Outcome(report, order.target / "report.md", is_installed=True)


def _calibrated(source: Source, target: Path, order: Order, evaluation: Photographs) -> Calibration:
    if order.calibrate is None:
        raise CannotQuantizeError("int8 needs --calibrate FOLDER: photographs of the usual kind")
    sample = source.photographs(order.calibrate, order).sample(_MOST_TO_CALIBRATE)
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
