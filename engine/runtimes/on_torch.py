"""Networks computed by torch, on a CPU or a GPU."""

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import torch

from common.errors import PermanentError
from common.text import joined
from engine.runtimes.computing import Computing
from engine.runtimes.network import Floats
from engine.runtimes.precision import Precision
from engine.runtimes.staging import Staging

Compute = Callable[[torch.Tensor], torch.Tensor]

DTYPES: Final[Mapping[Precision, torch.dtype]] = {
    "float32": torch.float32,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
}


class NoSuchDeviceError(PermanentError):
    """The device does not exist."""


class TorchNetwork:
    """A network in evaluation mode, prepared for inference.

    Args:
        module: Takes floats of shape (n, channels, height, width), returns logits. It is changed.
        computing: Device, precision and whether to compile.
        example: A preprocessed image to compile with, shape (1, channels, height, width), if
            all images have its size. Without one, nothing is compiled.

    Raises:
        NoSuchDeviceError: There is no such device.
    """

    runtime = "torch"

    def __init__(
        self,
        module: torch.nn.Module,
        computing: Computing = Computing(),  # noqa: B008 (frozen)
        *,
        example: Floats | None = None,
    ) -> None:
        device = _device(computing)
        self.precision: Precision = computing.precision
        self._dtype = DTYPES[computing.precision]
        self._on_device: Callable[[Floats], torch.Tensor] = (
            torch.from_numpy if device.type == "cpu" else Staging(device)
        )
        module = _prepared(module).to(device, self._dtype)
        self._compute: Compute = module
        self.remark = "" if device.type == "cpu" else f"on {torch.cuda.get_device_name(device)}"
        if computing.compiles:
            self._compile(module, computing, example)

    def __call__(self, images: Floats) -> Floats:
        with torch.inference_mode():
            logits: Floats = self._compute(self._batch(images)).float().cpu().numpy()
        return logits

    def _batch(self, images: Floats) -> torch.Tensor:
        # Converted on the device: that takes no time on a GPU.
        return self._on_device(images).to(self._dtype, memory_format=torch.channels_last)

    def _compile(
        self, module: torch.nn.Module, computing: Computing, example: Floats | None
    ) -> None:
        if example is None:
            self._remark("not compiled: its images have many sizes")
            return
        try:
            from engine.runtimes.compiling import Compiled  # noqa: PLC0415 (takes a second)

            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice to torch's developers
                self._compute = Compiled(module, self._batch(example), computing.largest_batch)
        except Exception as exc:  # noqa: BLE001 (no compiler, or what it says of a network)
            reason = str(exc).strip().partition("\n")[0]
            self._remark(f"not compiled: {reason}")

    def _remark(self, remark: str) -> None:
        self.remark = joined(self.remark, remark)


def _device(computing: Computing) -> torch.device:
    if computing.device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if computing.device == "auto":
        return torch.device("cpu")
    raise NoSuchDeviceError(f"DARKROOM_DEVICE is cuda, but torch {torch.__version__} sees no GPU")


def _prepared(module: torch.nn.Module) -> torch.nn.Module:
    """Fold batch normalisation into convolutions, and lay weights out as the kernels want them."""
    with warnings.catch_warnings(), suppress(Exception):  # not every network can be traced
        warnings.simplefilter("ignore")  # torch's own code uses what it deprecates
        from torch.fx.experimental.optimization import fuse  # noqa: PLC0415

        module = fuse(module)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # missing in torch's stubs
