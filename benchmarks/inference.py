"""What one core can do: decode, preprocess, compute: ``python benchmarks/inference.py``.

Networks have the architectures of torchvision and random weights, which changes no speed; images
are noise of many scales, as JPEG files compress photographs. Runtimes take turns in every round,
each round in the other order, and are compared within their round: the machine's own noise
then strikes all alike. The stages are timed apart from the whole, one after another, alone.

``eager`` is torch as a script would use it; ``torch`` is what serves here where onnxruntime
cannot; ``engine`` is the service's engine process with onnxruntime, asked by its parent.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ["OMP_NUM_THREADS"] = "1"  # torch reads it once, when it is loaded

import numpy as np
import PIL.Image
import torch
from safetensors.torch import save_file

from common.jobs import JobId
from consumer.child import Limits
from consumer.engine import Engine
from consumer.models import torchvision_zoo
from consumer.models.classifier import Classifier, top_k_predictions
from consumer.models.loading import load_model, load_pretrained
from consumer.models.model import classify
from consumer.models.places import Places
from consumer.pixels import decode
from consumer.protocol import EngineConfig, Question
from consumer.runtimes.network import Floats

MODELS = ("resnet18", "squeezenet1_1", "mobilenet_v3_small", "resnet50", "efficientnet_b0")
SIZES = ((640, 480), (1920, 1080), (4000, 3000))
_TOP_K = 5
_NO_LIMIT = 10**9
_QUALITY = 90
_STEPS = 8  # a turn
_TOML = """
architecture = "torchvision:{name}"
weights = "w.safetensors"
labels = "torchvision:{weights}"
preprocessing = "torchvision:{weights}"
"""

Step = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Eager:
    """Torch as a script would use it."""

    module: torch.nn.Module
    runtime: str = "eager"

    def __call__(self, images: Floats) -> Floats:
        with torch.inference_mode():
            logits: Floats = self.module(torch.from_numpy(images)).numpy()
        return logits


def main() -> None:
    arguments = _parse_arguments()
    torch.set_num_threads(1)
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    with tempfile.TemporaryDirectory() as folder:
        places = Places(Path(folder) / "models", Path(folder) / "weights")
        rows = [
            row for name in arguments.models for row in _compare(name, places, arguments.rounds)
        ]
    print(_table(rows))  # noqa: T201 (what this is for)
    report = {"machine": _machine(), "rounds": arguments.rounds, "rows": rows}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--core", type=int, help="run on this core only (Linux)")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _compare(name: str, places: Places, rounds: int) -> Iterator[dict[str, object]]:
    """Time every runtime on images of every size."""
    _write_model(name, places)
    pretrained = load_pretrained(name, places)
    eager = Classifier(network=Eager(pretrained.module), kit=pretrained.kit)
    by_torch = _classifier(name, places, "torch")
    by_onnx = _classifier(name, places, "onnx")
    with _engine(name, places) as engine:
        for size in SIZES:
            image = _photograph(size)
            steps: dict[str, Step] = {
                "eager": partial(_whole, eager),
                "torch": partial(_whole, by_torch),
                "onnx": partial(_whole, by_onnx),
                "engine": lambda body: engine.ask(Question(JobId("j"), body, name, _TOP_K)),
            }
            yield from _rows(name, size, _time_turns(steps, image, rounds), _stages(by_onnx, image))


def _rows(
    name: str, size: tuple[int, int], times_ms: dict[str, list[float]], stages: dict[str, float]
) -> Iterator[dict[str, object]]:
    for runtime, values in times_ms.items():
        faster = [one / own for one, own in zip(times_ms["eager"], values, strict=True)]
        row: dict[str, object] = {
            "model": name,
            "image": "x".join(map(str, size)),
            "runtime": runtime,
            "images a second": round(1000 / statistics.median(values), 1),
            "of eager": _spread(faster),
        }
        if runtime in ("onnx", "engine"):
            row["of its stages"] = _spread([sum(stages.values()) / one for one in values])
            row["stages, ms"] = {stage: round(ms, 2) for stage, ms in stages.items()}
        yield row


def _spread(ratios: Iterable[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _whole(classifier: Classifier, image: bytes) -> object:
    return classify(classifier, [decode(image, max_pixels=_NO_LIMIT)], top_k=_TOP_K)


def _stages(classifier: Classifier, image: bytes) -> dict[str, float]:
    """Time each stage alone, in milliseconds."""
    opened = decode(image, max_pixels=_NO_LIMIT)
    batch = classifier.kit.preprocessing.batch([opened])
    [logits] = classifier.network(batch)
    stages: dict[str, Callable[[], object]] = {
        "decode": partial(decode, image, max_pixels=_NO_LIMIT),
        "preprocess": partial(classifier.kit.preprocessing.batch, [opened]),
        "network": partial(classifier.network, batch),
        "labels": partial(top_k_predictions, logits, classifier.kit.labels, _TOP_K),
    }
    return {
        name: statistics.median(_turn_ms(stage) for _ in range(5)) for name, stage in stages.items()
    }


def _time_turns(steps: dict[str, Step], image: bytes, rounds: int) -> dict[str, list[float]]:
    times_ms: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        order = list(steps) if number % 2 else list(reversed(steps))
        for name in order:
            took_ms = _turn_ms(partial(steps[name], image))
            if number:  # the first warms up
                times_ms[name].append(took_ms)
    return times_ms


def _turn_ms(step: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    for _ in range(_STEPS):
        step()
    return (time.perf_counter() - started_s) / _STEPS * 1000


def _classifier(name: str, places: Places, runtime: str) -> Classifier:
    model = load_model(name, places, runtime=runtime, threads=1)  # type: ignore[arg-type]  # one of the two
    if not isinstance(model, Classifier) or model.runtime != runtime:
        raise SystemExit(f"{name} is not served by {runtime}: {model.remark}")
    return model


@contextmanager
def _engine(name: str, places: Places) -> Iterator[Engine]:
    config = EngineConfig(
        models=(name,),
        models_dir=places.models,
        weights_dir=places.weights,
        threads=1,
        runtime="onnx",
        max_image_pixels=_NO_LIMIT,
        log_level="WARNING",
        log_format="console",
    )
    limits = Limits(start_s=300, job_s=300)
    with closing(Engine(config, limits=limits, stopping=threading.Event())) as engine:
        engine.start()
        engine.wait_until_ready()
        yield engine


def _write_model(name: str, places: Places) -> None:
    """Write a folder with random weights, of torchvision's architecture."""
    torch.manual_seed(0)
    folder = places.models / name
    folder.mkdir(parents=True)
    save_file(torchvision_zoo.architecture(name).state_dict(), folder / "w.safetensors")
    weights = torchvision_zoo.torchvision_models().get_model_weights(name).DEFAULT
    (folder / "model.toml").write_text(_TOML.format(name=name, weights=weights))


def _photograph(size: tuple[int, int]) -> bytes:
    """Make a JPEG file of noise of many scales."""
    chance = np.random.default_rng(0)
    width, height = size
    levels = np.full((height, width, 3), 128.0)
    for scale in (4, 16, 64):
        coarse = chance.integers(0, 256, (height // scale + 1, width // scale + 1, 3), np.uint8)
        fine = PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC)
        levels += (np.asarray(fine, np.float64) - 128) * scale / 64
    buffer = BytesIO()
    picture = PIL.Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _machine() -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ("torch", "torchvision", "onnxruntime", "pillow", "numpy")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def _table(rows: list[dict[str, object]]) -> str:
    columns = ("model", "image", "runtime", "images a second", "of eager", "of its stages")
    lines = [columns, tuple("---" for _ in columns)]
    lines += [tuple(str(row.get(column, "")) for column in columns) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
