"""The report on a quantized model, for programs and for people."""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from engine.runtimes.precision import Precision
from modeltools.quantizing.comparison import Accuracy

ENOUGH_AGREEMENT: Final = 0.99
# One photograph in fewer is more than the one per cent that this is about.
ENOUGH_PHOTOGRAPHS: Final = 100


class Figures(BaseModel):
    """What was measured of one network.

    Args:
        runtime: What computed it.
        precision: What it computes in.
        accuracy: None where no label is known.
        images_per_s: One at a time, without decoding and preprocessing.
        resident_mb: Of a process that does nothing else; None where that cannot be told.
        file_bytes: Of the network.
    """

    model_config = ConfigDict(frozen=True)

    runtime: str
    precision: Precision
    accuracy: Accuracy | None
    images_per_s: float
    resident_mb: float | None
    file_bytes: int


class Calibration(BaseModel):
    """What the ranges of an int8 network's numbers were taken from.

    Args:
        photographs: How many.
        also_evaluated: How many of them the networks were compared on, too.
        skipped: Files that could not be read, and why.
        float32_layers: How many of the first layers are in float32 still.
    """

    model_config = ConfigDict(frozen=True)

    photographs: int
    also_evaluated: int
    skipped: Mapping[str, str]
    float32_layers: int


class Report(BaseModel):
    """How a quantized model compares with the float32 that it was made from.

    Args:
        model: Its name.
        version: A digest of its network.
        source: The name of the model that it was made from.
        source_version: The version of that.
        photographs: How many both were asked about.
        labelled: Of how many of these the right label is known.
        skipped: Files that could not be read, and why.
        calibration: Of int8.
        top_1_agreement: The share of photographs with the same best label.
        top_5_agreement: The share of float32's best five labels among the other's best five.
        before: Of float32.
        after: Of the quantized model.
        machine: What it was measured on.
        threads: How many computed one image.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    source: str
    source_version: str
    photographs: int
    labelled: int
    skipped: Mapping[str, str]
    calibration: Calibration | None
    top_1_agreement: float
    top_5_agreement: float
    before: Figures
    after: Figures
    machine: str
    threads: int

    def shortcomings(self) -> list[str]:
        """Say why it should not be served."""
        found = []
        if not self.top_1_agreement >= ENOUGH_AGREEMENT:
            found.append(
                f"the best label is that of float32 for only {self.top_1_agreement:.2%} of the "
                f"photographs; {ENOUGH_AGREEMENT:.0%} are required"
            )
        if self.photographs < ENOUGH_PHOTOGRAPHS:
            found.append(
                f"{self.photographs} photographs are too few; "
                f"{ENOUGH_PHOTOGRAPHS} or more are required"
            )
        return found

    def as_markdown(self) -> str:
        """Write it for people."""
        return "\n".join([f"# {self.model}", "", *self._introduction(), "", *self._table(), ""])

    def _introduction(self) -> Iterator[str]:
        yield (
            f"`{self.version}`, made from `{self.source}` ({self.source_version}), and compared "
            f"with it on {self.photographs} photographs, of which {self.labelled} are labelled."
        )
        skipped = dict(self.skipped)
        if self.calibration is not None:
            skipped |= self.calibration.skipped
            yield (
                f"Calibrated on {self.calibration.photographs} photographs, of which "
                f"{self.calibration.also_evaluated} are among those. "
                f"First layers that stay in float32: {self.calibration.float32_layers}."
            )
        yield f"Measured on {self.machine}; threads: {self.threads}."
        if skipped:
            yield ""
        for file, reason in skipped.items():
            yield f"* Skipped: {file}: {reason}"
        if self.shortcomings():
            yield ""
        for shortcoming in self.shortcomings():
            yield f"* **Falls short**: {shortcoming}."

    def _table(self) -> Iterator[str]:
        before, after = self.before, self.after
        yield f"| | {_name(before)} | {_name(after)} |"
        yield "| --- | --- | --- |"
        yield f"| top-1 agreement | | {self.top_1_agreement:.2%} |"
        yield f"| top-5 agreement | | {self.top_5_agreement:.2%} |"
        if before.accuracy and after.accuracy:
            yield _row("top-1 accuracy", before.accuracy.top_1, after.accuracy.top_1, ".2%")
            yield _row("top-5 accuracy", before.accuracy.top_5, after.accuracy.top_5, ".2%")
        yield _row("images a second", before.images_per_s, after.images_per_s, ",.1f")
        if before.resident_mb and after.resident_mb:
            yield _row("memory, MiB", before.resident_mb, after.resident_mb, ".0f")
        yield _row("file, bytes", before.file_bytes, after.file_bytes, ",")


def _name(figures: Figures) -> str:
    return f"{figures.precision} by {figures.runtime}"


def _row(what: str, before: float, after: float, form: str) -> str:
    return f"| {what} | {before:{form}} | {after:{form}} |"
