"""Networks compiled by ``torch.compile``."""

from collections.abc import Callable
from typing import Any, Final

import torch
import torch._dynamo.config
from torch._inductor.async_compile import shutdown_compile_workers

_MOST: Final = 64
# After more variants of a piece of code than this, Dynamo stops compiling and only warns. There is
# a variant for each batch size, and networks of one class share their code.
_VARIANTS: Final = 256

Backend = str | Callable[..., Any]
Compute = Callable[[torch.Tensor], torch.Tensor]


class Compiled:
    """A network compiled for a few batch sizes; other batches are padded or split.

    Args:
        module: In evaluation mode, on its device.
        image: A batch of one image of the size that all have, with channels last.
        largest: The largest batch that is expected.
        backend: The compiler backend.

    Raises:
        Exception: Of any type: there is no compiler, or it cannot compile the network.
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
        # The processes that helped to compile would otherwise stay.
        shutdown_compile_workers()

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the logits of any number of images."""
        return torch.cat([self._some(part) for part in torch.split(batch, self._sizes[-1])])

    def _some(self, part: torch.Tensor) -> torch.Tensor:
        missing = next(size for size in self._sizes if size >= len(part)) - len(part)
        filled = torch.cat([part, part[:1].expand(missing, -1, -1, -1)])
        # Another layout would compile again.
        filled = filled.contiguous(memory_format=torch.channels_last)
        # On a GPU the next batch overwrites these logits.
        return self._compute(filled)[: len(part)].clone()


def _powers_of_two() -> list[int]:
    return [2**exponent for exponent in range(_MOST.bit_length())]


def _compiled(module: torch.nn.Module, device: torch.device, backend: Backend) -> Compute:
    torch._dynamo.config.recompile_limit = _VARIANTS
    if backend != "inductor":
        return torch.compile(module, backend=backend, dynamic=False)
    # On a GPU, launching the kernels of a small batch takes longer than running them. So the
    # launches are recorded as a CUDA graph, which belongs to the thread that recorded it.
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    return torch.compile(module, mode=mode, dynamic=False)
