"""Networks that torch.compile makes code for."""

from collections.abc import Callable
from typing import Any, Final

import torch
import torch._dynamo.config
from torch._inductor.async_compile import shutdown_compile_workers

_MOST: Final = 64
# Dynamo gives up, and only says so in a warning, when it has seen more variants of a piece of
# code: here one for each size of batch, and networks of one class share their code.
_VARIANTS: Final = 256

Backend = str | Callable[..., Any]
Compute = Callable[[torch.Tensor], torch.Tensor]


class Compiled:
    """A network with code for a few sizes of batches; it fills others up, or divides them.

    Args:
        module: In evaluation mode, on its device.
        image: A batch of one, as all will be, laid out with channels last.
        largest: Images in the largest batch that is to be expected.
        backend: What makes the code.

    Raises:
        Exception: Of any kind: there is no compiler, or it cannot deal with the network.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        image: torch.Tensor,
        largest: int,
        backend: Backend = "inductor",
    ) -> None:
        self._compute = _compiled(module, image.device, backend)
        self._sizes = [size for size in _powers_of_two() if size < 2 * largest]
        for size in self._sizes:
            self(image.expand(size, -1, -1, -1))
        # The processes that helped to compile would stay as long as this one does.
        shutdown_compile_workers()

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the logits of any number of images."""
        return torch.cat([self._some(part) for part in torch.split(batch, self._sizes[-1])])

    def _some(self, part: torch.Tensor) -> torch.Tensor:
        missing = next(size for size in self._sizes if size >= len(part)) - len(part)
        filled = torch.cat([part, part[:1].expand(missing, -1, -1, -1)])
        # Another layout would be compiled for again.
        filled = filled.contiguous(memory_format=torch.channels_last)
        # On a GPU the next batch's logits are written to the same place.
        return self._compute(filled)[: len(part)].clone()


def _powers_of_two() -> list[int]:
    return [2**exponent for exponent in range(_MOST.bit_length())]


def _compiled(module: torch.nn.Module, device: torch.device, backend: Backend) -> Compute:
    torch._dynamo.config.recompile_limit = _VARIANTS
    if backend != "inductor":
        return torch.compile(module, backend=backend, dynamic=False)
    # On a GPU the launches of a small batch's kernels take longer than the kernels do: they
    # are recorded and launched together. They then belong to the thread that recorded them.
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    return torch.compile(module, mode=mode, dynamic=False)
