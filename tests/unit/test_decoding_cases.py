"""Files that users sent and that came out wrong, each with its right answer.

All of them show the digit 7, or one brightness.
"""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from engine.decoding.decode import UndecodableImageError, decode
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.paths import ModelPaths

MODELS = Path(__file__).parents[2] / "models"
IMAGES = Path(__file__).parent / "images"
REFUSED = {
    "tiff-08-float.tif": "floating-point pixels",
    "jpeg-02-last-20-bytes-missing.jpg": "truncated: some of its pixels are missing",
}
DIGITS = sorted(
    path.name
    for path in IMAGES.iterdir()
    if path.name not in REFUSED and not path.name.startswith("bright-")
)


def decoded(name: str) -> PIL.Image.Image:
    return decode((IMAGES / name).read_bytes(), max_pixels=1_000_000)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Model:
    paths = ModelPaths(MODELS, tmp_path_factory.mktemp("weights"))
    return load_model("digits", paths, runtime="torch", threads=1)


@pytest.mark.parametrize("name", DIGITS)
def test_the_seven_is_seen_whatever_is_odd_about_its_file(digits: Model, name: str) -> None:
    [[best, *_]] = classify(digits, [decoded(name)], top_k=1)

    assert best.label == "7"
    assert best.probability > 0.9


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_what_cannot_be_right_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(UndecodableImageError, match=reason):
        decoded(name)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("bright-l8-white.tif", 255),
        ("bright-l16-whiteiszero-white.tif", 255),
        ("bright-v5-alpha0-black.bmp", 0),
        # Scaled by the 16 bits that the file declares, not the 12 that it uses.
        ("bright-12bit-white-in-16.tif", 16),
    ],
)
def test_white_is_white_and_black_is_black(name: str, level: int) -> None:
    assert np.asarray(decoded(name)).mean() == pytest.approx(level, abs=1)
