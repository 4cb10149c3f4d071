"""Copy batches to a GPU."""

import torch

from engine.runtimes.network import Floats


class Staging:
    """Pinned memory of the host, from which the device reads batches by itself.

    Pinned means that the kernel may not move it, so the driver needs no copy of its own. Pinning
    takes longer than copying, so the memory is reused. Callers must therefore wait for the result
    of one batch before they start the next.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory = torch.empty(0)

    def __call__(self, images: Floats) -> torch.Tensor:
        """Start copying *images* to the device."""
        batch = torch.from_numpy(images)
        if self._memory.numel() < batch.numel():
            pins = self._device.type == "cuda"
            self._memory = torch.empty(batch.numel(), pin_memory=pins)
        staged = self._memory[: batch.numel()].view(batch.shape)
        staged.copy_(batch)
        return staged.to(self._device, non_blocking=True)
