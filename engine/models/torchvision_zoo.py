"""torchvision's classification models: architecture, weights, labels and preprocessing by name."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.error import URLError

import torch
from PIL.Image import Resampling

from engine.models.classifier import ModelSpec
from engine.models.digests import sha256_of, version_of
from engine.models.errors import ModelUnavailableError
from engine.models.pretrained import Pretrained
from engine.preprocessing import Preprocessing

_DOWNLOAD_SILENCE_S: Final = 20.0
_OPERATORS: Final = ("nms", "qnms")
_SIGNATURE: Final = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[object] = []  # a library's operators live as long as it does


def torchvision_models() -> ModuleType:
    """Import ``torchvision.models``, also beside a torch that torchvision was not built for.

    PyPI's Linux torchvision is built for CUDA; beside a CPU-only torch its import fails for
    two missing detection operators, which no classifier calls. Defining them is enough
    (tried with torch 2.13.0+cpu and torchvision 0.28.0). They are defined only when missing.
    """
    try:
        import torchvision.models  # noqa: PLC0415 slow, and needed for some models only
    except RuntimeError as exc:
        if "torchvision::" not in str(exc):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch has no types here
        for operator in _OPERATORS:
            library.define(f"{operator}{_SIGNATURE}")  # type: ignore[no-untyped-call]  # nor here
        _kept.append(library)
        import torchvision.models  # noqa: PLC0415 slow, and needed for some models only
    models: ModuleType = torchvision.models
    return models


def load(name: str, *, weights_dir: Path) -> Pretrained:
    """Load the torchvision model *name* with the weights that torchvision recommends.

    Downloads them into *weights_dir* once, checked by the hash in their name.

    Raises:
        ModelUnavailableError: There is no such model, or its weights cannot be downloaded.
    """
    models = torchvision_models()
    if name not in models.list_models(module=models):
        raise ModelUnavailableError(
            f"{name!r} is neither a folder in models/ nor a torchvision model"
        )
    weights = models.get_model_weights(name).DEFAULT
    torch.hub.set_dir(weights_dir)
    try:
        # Standard output is for the reason of a failed export; messages of a download go elsewhere.
        with _impatient_sockets(), redirect_stdout(sys.stderr):
            state = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as exc:
        raise ModelUnavailableError(
            f"its weights could not be downloaded from {weights.url}: {exc}"
        ) from exc
    network = models.get_model(name)
    network.load_state_dict(state)
    file = weights_dir / "checkpoints" / Path(weights.url).name
    return Pretrained(
        module=network.eval(),
        spec=ModelSpec(
            labels=labels_of(weights),
            preprocessing=preprocessing_of(weights),
            version=version_of(sha256_of(file)),
            description=f"torchvision {name}, {weights}",
        ),
        sources=(file,),
    )


def weights_by_name(name: str) -> Any:
    """Look up a weights enum's member, such as ``ResNet18_Weights.IMAGENET1K_V1``."""
    return torchvision_models().get_weight(name)


def architecture(name: str, *, classes: int | None = None) -> torch.nn.Module:
    """Make the torchvision network *name*, without weights, for ImageNet's or other classes."""
    options = {} if classes is None else {"num_classes": classes}
    network: torch.nn.Module = torchvision_models().get_model(name, **options)
    return network


def labels_of(weights: Any) -> tuple[str, ...]:
    """Return the labels that *weights* were trained with, in their order."""
    return tuple(weights.meta["categories"])


def preprocessing_of(weights: Any) -> Preprocessing:
    """Return the preprocessing that *weights* were trained with.

    Source: torchvision.transforms._presets.ImageClassification, whose steps on Pillow images
    are those of ``Preprocessing``.
    """
    preset = weights.transforms()
    size = list(preset.resize_size)
    return Preprocessing(
        resize=size[0] if len(size) == 1 else (size[0], size[1]),
        crop=(preset.crop_size[0], preset.crop_size[-1]),
        interpolation=Resampling[preset.interpolation.name],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    """Give up on a silent server: torch.hub sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_SILENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
