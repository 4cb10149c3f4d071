"""Networks computed by torch."""

import warnings
from contextlib import suppress

import torch

from consumer.runtimes.network import Floats


class TorchNetwork:
    """A network in evaluation mode, prepared for inference on the CPU."""

    runtime = "torch"

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = _prepared(module)

    def __call__(self, images: Floats) -> Floats:
        batch = torch.from_numpy(images).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            logits: Floats = self._module(batch).float().numpy()
        return logits


def _prepared(module: torch.nn.Module) -> torch.nn.Module:
    """Fold batch normalisation into convolutions, and lay weights out as the kernels want them."""
    with warnings.catch_warnings(), suppress(Exception):  # not every network can be traced
        warnings.simplefilter("ignore")  # torch's own code uses what it deprecates
        from torch.fx.experimental.optimization import fuse  # noqa: PLC0415

        module = fuse(module)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # missing in torch's stubs
