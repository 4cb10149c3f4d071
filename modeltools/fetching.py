"""Get models ready before they are served, where there is a way out to get them by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.settings.consumer import Runtime
from engine.models.errors import ModelUnavailableError
from engine.models.loading import load_model
from engine.models.places import Places


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one model.

    Args:
        name: Its name.
        is_there: Whether a consumer can serve it now, without a network.
        story: What computes it, or why it cannot be had.
    """

    name: str
    is_there: bool
    story: str

    def __str__(self) -> str:
        return f"{self.name}: {self.story if self.is_there else f'NOT AVAILABLE: {self.story}'}"


def fetch(names: Sequence[str], places: Places, *, runtime: Runtime) -> Iterator[Fetched]:
    """Download and export each of *names*, as a consumer would at its first start."""
    for name in names:
        try:
            model = load_model(name, places, runtime=runtime, threads=1)
        except ModelUnavailableError as exc:
            yield Fetched(name, False, str(exc))
        else:
            remark = f" ({model.remark})" if model.remark else ""
            yield Fetched(name, True, f"ready, computed by {model.runtime}{remark}")
