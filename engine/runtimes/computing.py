"""How torch shall compute, where it is what computes."""

from dataclasses import dataclass

from common.settings.consumer import Device, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Computing:
    """What the user chose for torch; other runtimes have no such choice.

    Args:
        device: Where; ``auto`` is a GPU if torch is the runtime and sees one.
        precision: In what; ``half`` is 16 bits with 10 of them for the fraction.
        compiles: Whether to make code for this very network first.
        largest_batch: Images that are computed at once, at most; for that code only.
    """

    device: Device = "auto"
    precision: Precision = "float32"
    compiles: bool = False
    largest_batch: int = 1

    @property
    def wants_torch(self) -> bool:
        """Whether no other runtime can do it."""
        return self.device == "cuda"

    @property
    def is_for_torch_alone(self) -> bool:
        """Whether another runtime leaves something of it undone."""
        return self.precision != "float32" or self.compiles
