"""The images are small, reproducible, and hold no secrets."""

import re
from typing import Final

import pytest

from tests.compose.engine import BASES, ROOT, TARGETS, Engine

_MEGABYTE: Final = 1_000_000
# Over the base image.
# 20 of the consumer's are the weights of photos, from which it makes an export.
_LARGEST_MB: Final = {"api": 120, "courier": 120, "consumer": 950, "consumer-lite": 250}
_CONTEXT_MB: Final = 2
_TOOLS: Final = re.compile(r"/(gcc|g\+\+|cc1|make|cmake|ninja)(-\d+)?$")
_CACHES: Final = re.compile(r"/(\.cache|pip/http|var/lib/apt/lists/.+Packages.*)$")
_CREDENTIALS: Final = re.compile(r"(_PASSWORD|_URL|_TOKEN|_SECRET|_KEY)=")

# The first test waits until the images are built, maybe with an engine that is installed first.
pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_is_no_larger_than_it_has_to_be(
    engine: Engine, images: dict[str, str], target: str
) -> None:
    base = engine.inspect(BASES["python"], kind="image")["Size"]

    size = engine.inspect(images[target], kind="image")["Size"]

    assert (size - base) / _MEGABYTE <= _LARGEST_MB[target]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_no_compiler_no_cache_and_no_file_that_its_user_may_change(
    engine: Engine, images: dict[str, str], target: str
) -> None:
    ours = files_over_the_base(engine, images[target])

    assert [path for path in ours if _TOOLS.search(path) or _CACHES.search(path)] == []
    theirs = {path for path, kind in ours.items() if kind.endswith("10001:10001")}
    assert theirs <= {path for path in theirs if path.startswith("/var/lib/darkroom")}


@pytest.mark.parametrize("target", ["api", "courier", "consumer-lite"])
def test_torch_is_only_where_it_is_needed(
    engine: Engine, images: dict[str, str], target: str
) -> None:
    ours = files_over_the_base(engine, images[target])

    assert [path for path in ours if path.endswith(("/torch", "/torchvision"))] == []


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is_and_how_it_is(
    engine: Engine, images: dict[str, str], target: str
) -> None:
    config = engine.inspect(images[target], kind="image")["Config"]

    assert config["User"] == "darkroom"
    assert config["Entrypoint"] == ["dumb-init", "--single-child", "--"]
    assert config["Cmd"] == ["./start.sh", target.removesuffix("-lite")]
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "./start.sh", "healthy"]
    assert config["Labels"]["org.opencontainers.image.title"] == "Darkroom"


@pytest.mark.parametrize("target", TARGETS)
def test_no_secret_is_in_the_layers_of_an_image(
    engine: Engine, images: dict[str, str], target: str
) -> None:
    told = engine.run("history", "--no-trunc", "--format", "{{.CreatedBy}}", images[target])
    environment = "\n".join(engine.inspect(images[target], kind="image")["Config"]["Env"])

    assert not _CREDENTIALS.search(told + environment)
    ours = files_over_the_base(engine, images[target])
    assert [path for path in ours if path.startswith("/app") and "/.env" in path] == []


@pytest.mark.slow
@pytest.mark.parametrize("target", ["api", "courier"])
def test_an_image_built_again_from_nothing_has_the_same_files(
    engine: Engine, images: dict[str, str], target: str
) -> None:
    again = engine.build(target, fresh=True, tag="built-again")

    assert engine.files(again) == engine.files(images[target])
    engine.run("image", "rm", again)


def test_the_context_of_a_build_is_small(engine: Engine) -> None:
    # The classic builder says how much it was sent; Docker knows best what .dockerignore means.
    said = engine.run("build", "--target", "packages", str(ROOT))

    sent = re.search(r"Sending build context to Docker daemon\s+([\d.]+)([kM]?)B", said)
    assert sent is not None
    assert float(sent[1]) * {"": 1e-6, "k": 1e-3, "M": 1}[sent[2]] < _CONTEXT_MB


def files_over_the_base(engine: Engine, image: str) -> dict[str, str]:
    """Return the files that an image adds to Python's."""
    base = _base_files(engine)
    return {path: kind for path, kind in engine.files(image).items() if path not in base}


def _base_files(engine: Engine) -> dict[str, str]:
    if not _KNOWN:
        _KNOWN.update(engine.files(BASES["python"]))
    return _KNOWN


_KNOWN: dict[str, str] = {}
