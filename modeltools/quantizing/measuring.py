"""Measure a quantized model beside the one that it was made from."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.models import onnx_file
from engine.models.classifier import Classifier
from engine.models.origin import Origin
from engine.runtimes.computing import Computing, Serving
from engine.runtimes.network import Floats
from modeltools.quantizing.comparison import Accuracy, compare
from modeltools.quantizing.errors import CannotQuantizeError
from modeltools.quantizing.footprint import resident_mb
from modeltools.quantizing.installing import NETWORK_FILE
from modeltools.quantizing.photographs import Photographs
from modeltools.quantizing.report import Calibration, Figures, Report
from modeltools.quantizing.request import QuantizeRequest
from modeltools.quantizing.source import Source
from modeltools.quantizing.speed import images_per_second

_TIMED: Final = 16
_CPUINFO: Final = Path("/proc/cpuinfo")


def measure(
    request: QuantizeRequest,
    source: Source,
    draft: Path,
    photographs: Photographs,
    calibration: Calibration | None,
) -> Report:
    """Load both as a consumer would here, and compare them.

    Raises:
        CannotQuantizeError: None of the photographs can be read.
        ModelUnavailableError: Nothing here can compute the new one.
    """
    before, after = _loaded(request, source, draft)
    networks = (before.classifier.network, after.classifier.network)
    seen = compare(*networks, photographs, source.spec.labels)
    if not seen.known:
        file, reason = next(iter(photographs.skipped.items()))
        raise CannotQuantizeError(f"no file can be read; the first is {file}: {reason}")
    tensors = photographs.tensors_of(_TIMED)
    rates = images_per_second(networks, tensors)
    return Report(
        model=request.target.name,
        version=after.classifier.version,
        source=request.name,
        source_version=source.spec.version,
        photographs=len(seen.known),
        labelled=seen.labelled,
        skipped=photographs.skipped,
        calibration=calibration,
        top_1_agreement=seen.top_1_agreement,
        top_5_agreement=seen.top_5_agreement,
        before=before.figures(seen.accuracy_before(), rates[0], tensors[0], request),
        after=after.figures(seen.accuracy_after(), rates[1], tensors[0], request),
        machine=_machine(),
        threads=request.threads,
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    classifier: Classifier
    file: Path

    def figures(
        self,
        accuracy: Accuracy | None,
        images_per_s: float,
        images: Floats,
        request: QuantizeRequest,
    ) -> Figures:
        runtime, precision = self.classifier.runtime, self.classifier.precision
        return Figures(
            runtime=runtime,
            precision=precision,
            accuracy=accuracy,
            images_per_s=images_per_s,
            resident_mb=resident_mb(
                self.file,
                runtime=runtime,
                precision=precision,
                threads=request.threads,
                shape=images.shape,
            ),
            file_bytes=self.file.stat().st_size,
        )


def _loaded(request: QuantizeRequest, source: Source, draft: Path) -> tuple[_Measured, _Measured]:
    runtime, threads = request.runtime, request.threads
    before = onnx_file.serve(source.file, source.spec, runtime=runtime, threads=threads)
    origin = Origin.find(draft.name, request.paths)
    after = onnx_file.load(origin, Serving(runtime, threads, Computing()))
    if after.precision != after.spec.precision:
        raise CannotQuantizeError(f"quantizing gains nothing: {after.remark}")
    return _Measured(before, source.file), _Measured(after, draft / NETWORK_FILE)


def _machine() -> str:
    """Name the processor."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
