"""The user's choices for computing networks."""

from dataclasses import dataclass

from common.settings.consumer import Device, Runtime
from engine.runtimes.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Computing:
    """The choices for torch; other runtimes have none.

    Args:
        device: ``auto`` is a GPU if torch is the runtime and sees one.
        precision: ``half`` is IEEE 754 with 16 bits.
        compiles: Whether to compile the network.
        largest_batch: The largest batch; only for compiling.
    """

    device: Device = "auto"
    precision: Precision = "float32"
    compiles: bool = False
    largest_batch: int = 1

    @property
    def is_for_torch_alone(self) -> bool:
        """Whether other runtimes ignore some of the choices."""
        return self.precision != "float32" or self.compiles


@dataclass(frozen=True, slots=True)
class Serving:
    """The choices for the models of an engine.

    Args:
        runtime: The preferred runtime.
        threads: The number of threads that compute a batch.
        computing: The choices for torch, where torch computes.
    """

    runtime: Runtime
    threads: int
    computing: Computing
