"""The images of this checkout, and one system of them that tests share."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import pytest

from testbed.system import Plan
from tests.compose import engine as engines
from tests.compose.engine import TARGETS, Engine, NoEngineError
from tests.compose.system import ComposeSystem
from tests.e2e.test_imagenet import FOLDER, write_squeezenet

# Then the other processes use the same engine, and start.sh stops it.
_BESIDE_OTHERS: Final = "PYTEST_XDIST_WORKER" in os.environ


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The Docker engine. Without one the tests are skipped, in CI too, with the reason."""
    with nullcontext() if _BESIDE_OTHERS else engines.stopped_again():
        try:
            with engines.others_wait():
                found = engines.find_engine()
        except NoEngineError as exc:
            pytest.skip(f"nothing was tried in containers: {exc}")
        yield found


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, str]:
    """The images of all targets of the Dockerfile, by target."""
    with engines.others_wait():
        return {target: engine.build(target) for target in TARGETS}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digits, and with a network for photographs if its weights are there."""
    folder = tmp_path_factory.mktemp("models")
    folder.chmod(0o755)
    engines.copy_tree(engines.ROOT / "models" / "digits", folder / "digits")
    if (FOLDER / "squeezenet1_0.safetensors").exists():
        write_squeezenet(folder)
        weights = folder / "squeezenet" / "squeezenet1_0.safetensors"
        target = weights.resolve()
        weights.unlink()
        weights.write_bytes(target.read_bytes())  # a link would lead out of the container
    return folder


@pytest.fixture(scope="session")
def system(
    engine: Engine, images: dict[str, str], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComposeSystem]:
    """A system as the README starts it; tests leave it as they found it."""
    assert images
    names = sorted(folder.name for folder in models.iterdir())
    plan = Plan(settings={"DARKROOM_MODELS": ",".join(names), "DARKROOM_DEFAULT_MODEL": "digits"})
    system = ComposeSystem(
        engine, tmp_path_factory.mktemp("compose") / "system", plan, models=models
    )
    try:
        system.start()
        yield system
    finally:
        statuses = system.stop()
    assert set(statuses.values()) == {0}
