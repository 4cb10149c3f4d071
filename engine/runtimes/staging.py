"""The way of a batch from numpy's memory to a GPU's."""

import torch

from engine.runtimes.network import Floats


class Staging:
    """Memory of the host that batches pass through, and that the device reads by itself.

    It is pinned: the kernel may not move it, and the driver needs no copy of its own. Pinning
    takes longer than copying, so the memory is used again. Whoever waits for the result of one
    batch before the next may do that.
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
