"""Download and export models before they are served, on a machine with access to the internet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.settings.consumer import Runtime
from engine.models.errors import ModelUnavailableError
from engine.models.loading import load_model
from engine.models.paths import ModelPaths


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result for one model.

    Args:
        name: Its name.
        is_there: Whether a consumer can serve it without access to a network.
        story: What computes it, or why it is unavailable.
    """

    name: str
    is_there: bool
    story: str

    def __str__(self) -> str:
        return f"{self.name}: {self.story if self.is_there else f'NOT AVAILABLE: {self.story}'}"


def fetch(names: Sequence[str], paths: ModelPaths, *, runtime: Runtime) -> Iterator[Fetched]:
    """Download and export each of *names*, as a consumer would at its first start."""
    for name in names:
        try:
            model = load_model(name, paths, runtime=runtime, threads=1)
        except ModelUnavailableError as exc:
            yield Fetched(name, False, str(exc))
        else:
            remark = f" ({model.remark})" if model.remark else ""
            yield Fetched(name, True, f"ready, computed by {model.runtime}{remark}")
