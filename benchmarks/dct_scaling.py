"""What DCT scaling costs in accuracy and gains in time: ``python -m benchmarks.dct_scaling``.

Takes a model and a folder of photographs, best some of yours; each is classified twice, decoded
in full and with ``DARKROOM_DCT_SCALING``. With ``--sizes`` each is also enlarged, and cropped,
to these sizes first, and compressed again: enlarged photographs are smoother than real ones of
their size, so that their differences are a lower limit.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
import PIL.Image
from PIL import ImageOps

from benchmarks.plan import Size, size_of
from engine.decoding.decode import decode
from engine.freed_memory import keep_freed_memory
from engine.models.classifier import Classifier
from engine.models.loading import load_model
from engine.models.paths import ModelPaths
from engine.runtimes.network import Floats
from testbed.markdown import table

_NO_LIMIT: Final = 10**9
_QUALITY: Final = 90
_ROUNDS: Final = 5
_TOP: Final = 5
_COLUMNS: Final = (
    "photographs", "mean pixel difference, of 255", "largest logit difference, in deviations",
    "same top-1", "same top-5", "times as fast, decode and preprocess", "times as fast, whole",
)  # fmt: skip


class Look(NamedTuple):
    """One photograph, decoded in one of the two ways."""

    pixels: Floats
    logits: Floats
    prepared_ms: float
    whole_ms: float

    @property
    def best(self) -> list[int]:
        return [int(index) for index in np.argsort(-self.logits, kind="stable")[:_TOP]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("photographs", type=Path, help="a folder of them")
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--weights-dir", type=Path, default=Path(".darkroom/weights"))
    parser.add_argument("--sizes", nargs="*", type=size_of, default=[], metavar="WIDTHxHEIGHT")
    asked = parser.parse_args()
    keep_freed_memory()
    paths = ModelPaths(asked.models_dir, asked.weights_dir)
    model = load_model(asked.model, paths, runtime="onnx", threads=1)
    if not isinstance(model, Classifier):
        raise SystemExit(f"{asked.model} decides itself what it sees of an image")
    files = [path for path in sorted(asked.photographs.iterdir()) if path.is_file()]
    rows = []
    for one in (None, *asked.sizes):
        pairs = [_both(model, _photograph(path, one)) for path in files]
        rows.append(tuple(_row(one, pairs)))
    print(table(_COLUMNS, rows))  # noqa: T201 (what this is for)


def _photograph(path: Path, enlarged: Size | None) -> bytes:
    if enlarged is None:
        return path.read_bytes()
    whole = decode(path.read_bytes(), max_pixels=_NO_LIMIT)
    buffer = BytesIO()
    fitted = ImageOps.fit(whole, enlarged, PIL.Image.Resampling.LANCZOS)
    fitted.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _both(model: Classifier, photograph: bytes) -> tuple[Look, Look]:
    """Decode a photograph in full and scaled, in turns; the fastest time of each counts."""
    rounds = [
        (_look(model, photograph, 0), _look(model, photograph, model.enough_px))
        for _ in range(_ROUNDS)
    ]
    full, scaled = (min(looks, key=lambda one: one.whole_ms) for looks in zip(*rounds, strict=True))
    return full, scaled


def _look(model: Classifier, photograph: bytes, enough_px: int) -> Look:
    started_s = time.perf_counter()
    image = decode(photograph, max_pixels=_NO_LIMIT, enough_px=enough_px)
    batch = model.spec.preprocessing.batch([image])
    prepared_s = time.perf_counter()
    [logits] = model.network(batch)
    whole_s = time.perf_counter()
    std = np.array(model.spec.preprocessing.std, np.float32)[:, None, None]
    prepared_ms, whole_ms = (1000 * (end - started_s) for end in (prepared_s, whole_s))
    return Look(batch[0] * std * 255, logits, prepared_ms, whole_ms)


def _row(enlarged: Size | None, pairs: list[tuple[Look, Look]]) -> Iterator[str]:
    deviation = float(np.std([full.logits for full, _ in pairs]))
    yield f"{len(pairs)}, " + ("{}x{}".format(*enlarged) if enlarged else "as they are")
    yield f"{np.mean([np.abs(one.pixels - other.pixels).mean() for one, other in pairs]):.3f}"
    yield f"{max(np.abs(one.logits - other.logits).max() for one, other in pairs) / deviation:.3f}"
    yield f"{np.mean([one.best[0] == other.best[0] for one, other in pairs]):.3f}"
    yield f"{np.mean([len({*one.best} & {*other.best}) / _TOP for one, other in pairs]):.3f}"
    yield f"{median(one.prepared_ms / other.prepared_ms for one, other in pairs):.2f}"
    yield f"{median(one.whole_ms / other.whole_ms for one, other in pairs):.2f}"


if __name__ == "__main__":
    main()
