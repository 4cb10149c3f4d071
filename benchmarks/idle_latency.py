"""How long an idle service takes over the bare model: ``python benchmarks/idle_latency.py URL``.

Hands one image in at a time and polls every 5 ms until its job is done; in between, the same
image goes through the same model in this process. Both in one run, taking turns, so that
whatever else the machine does meets both.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).parent.parent))

from consumer.models.loading import load_model
from consumer.models.model import classify
from consumer.models.places import Places
from consumer.pixels import decode

_POLL_S = 0.005
_WARM_UP = 5


def main() -> None:
    arguments = _parse_arguments()
    image = arguments.image.read_bytes()
    places = Places(arguments.models_dir, Path(".darkroom/weights"))
    model = load_model(arguments.model, places, runtime="onnx", threads=1)
    session = requests.Session()

    def bare() -> None:
        classify(model, [decode(image, max_pixels=10**9)], top_k=5)

    def service() -> None:
        response = session.post(
            f"{arguments.url}/jobs",
            params={"model": arguments.model},
            data=image,
            headers={"Content-Type": "image/*"},
        )
        response.raise_for_status()
        while session.get(arguments.url + response.headers["Location"]).json()["state"] != "done":
            time.sleep(_POLL_S)

    pairs = [(_timed_ms(bare), _timed_ms(service)) for _ in range(_WARM_UP + arguments.runs)]
    bare_ms, service_ms = (list(column) for column in zip(*pairs[_WARM_UP:], strict=True))
    over_ms = [through - alone for alone, through in pairs[_WARM_UP:]]
    figures = {"bare_ms": bare_ms, "service_ms": service_ms, "over_ms": over_ms}
    print(json.dumps({name: _summary(values) for name, values in figures.items()}, indent=2))  # noqa: T201


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--image", type=Path, default=Path("models/digits/samples/7.png"))
    parser.add_argument("--runs", type=int, default=100)
    return parser.parse_args()


def _timed_ms(step: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    step()
    return (time.perf_counter() - started_s) * 1000


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[int(len(ordered) * 0.95)], 2),
        "min": round(ordered[0], 2),
        "max": round(ordered[-1], 2),
    }


if __name__ == "__main__":
    main()
