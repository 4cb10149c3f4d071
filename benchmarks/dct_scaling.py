"""What DCT scaling costs in accuracy and gains in time: ``python benchmarks/dct_scaling.py``.

Takes a model and a folder of photographs, best some of yours; each is classified twice, decoded
in full and with ``DARKROOM_DCT_SCALING``. With ``--sizes`` each is also enlarged, and cropped,
to these sizes first, and compressed again: enlarged photographs are smoother than real ones of
their size, so that their differences are a lower limit.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import PIL.Image
from PIL import ImageOps

from engine.decoding.decode import decode
from engine.freed_memory import keep_freed_memory
from engine.models.classifier import Classifier
from engine.models.loading import load_model
from engine.models.places import Places
from engine.runtimes.network import Floats

_NO_LIMIT = 10**9
_QUALITY = 90
_ROUNDS = 5
_TOP = 5
_COLUMNS = (
    "photographs",
    "mean pixel difference, of 255",
    "largest logit difference, in deviations",
    "same top-1",
    "same top-5",
    "times as fast, decode and preprocess",
    "times as fast, whole",
)


@dataclass(frozen=True, slots=True)
class Look:
    """One photograph, decoded in one of the two ways."""

    pixels: Floats
    logits: Floats
    prepared_ms: float
    whole_ms: float

    @property
    def best(self) -> list[int]:
        return [int(index) for index in np.argsort(-self.logits, kind="stable")[:_TOP]]


def main() -> None:
    arguments = _parse_arguments()
    keep_freed_memory()
    places = Places(arguments.models_dir, arguments.weights_dir)
    model = load_model(arguments.model, places, runtime="onnx", threads=1)
    if not isinstance(model, Classifier):
        raise SystemExit(f"{arguments.model} decides itself what it sees of an image")
    files = [path for path in sorted(arguments.photographs.iterdir()) if path.is_file()]
    print(f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}")  # noqa: T201 (what this is for)
    for size in (None, *arguments.sizes):
        pairs = [_both(model, _photograph(path, size)) for path in files]
        print(f"| {' | '.join(_row(size, pairs))} |")  # noqa: T201


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("photographs", type=Path, help="a folder of them")
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--weights-dir", type=Path, default=Path(".darkroom/weights"))
    parser.add_argument("--sizes", nargs="*", type=_size, default=[], metavar="WIDTHxHEIGHT")
    return parser.parse_args()


def _size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def _photograph(path: Path, size: tuple[int, int] | None) -> bytes:
    if size is None:
        return path.read_bytes()
    whole = decode(path.read_bytes(), max_pixels=_NO_LIMIT)
    buffer = BytesIO()
    ImageOps.fit(whole, size, PIL.Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _both(model: Classifier, photograph: bytes) -> tuple[Look, Look]:
    """Look at a photograph in full and scaled, in turns; the fastest of each counts."""
    rounds = [
        (_look(model, photograph, 0), _look(model, photograph, model.enough_px))
        for _ in range(_ROUNDS)
    ]
    full, scaled = (
        min(looks, key=lambda look: look.whole_ms) for looks in zip(*rounds, strict=True)
    )
    return full, scaled


def _look(model: Classifier, photograph: bytes, enough_px: int) -> Look:
    started_s = time.perf_counter()
    image = decode(photograph, max_pixels=_NO_LIMIT, enough_px=enough_px)
    batch = model.kit.preprocessing.batch([image])
    prepared_s = time.perf_counter()
    [logits] = model.network(batch)
    whole_s = time.perf_counter()
    std = np.array(model.kit.preprocessing.std, np.float32)[:, None, None]
    prepared_ms, whole_ms = (1000 * (end - started_s) for end in (prepared_s, whole_s))
    return Look(batch[0] * std * 255, logits, prepared_ms, whole_ms)


def _row(size: tuple[int, int] | None, pairs: list[tuple[Look, Look]]) -> Iterator[str]:
    deviation = float(np.std([full.logits for full, _ in pairs]))
    yield f"{len(pairs)}, " + ("as they are" if size is None else f"{size[0]}x{size[1]}")
    yield f"{np.mean([np.abs(one.pixels - other.pixels).mean() for one, other in pairs]):.3f}"
    yield f"{max(np.abs(one.logits - other.logits).max() for one, other in pairs) / deviation:.3f}"
    yield f"{np.mean([one.best[0] == other.best[0] for one, other in pairs]):.3f}"
    yield f"{np.mean([len({*one.best} & {*other.best}) / _TOP for one, other in pairs]):.3f}"
    yield f"{statistics.median(one.prepared_ms / other.prepared_ms for one, other in pairs):.2f}"
    yield f"{statistics.median(one.whole_ms / other.whole_ms for one, other in pairs):.2f}"


if __name__ == "__main__":
    main()
