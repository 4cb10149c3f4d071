"""A model that is the user's own code: any framework, or none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import PIL.Image

from common.jobs import Prediction
from engine.models import versions
from engine.models.origin import Origin
from engine.models.own_code.opening import code_of
from engine.runtimes.computing import Serving

_ROUNDING: Final = 1e-4


class Predictor(Protocol):
    """The interface of the user's class."""

    def load(self) -> None:
        """Load the model; called once, before the first image."""
        ...

    def predict(self, images: list[PIL.Image.Image]) -> Iterable[Iterable[tuple[str, float]]]:
        """Return (label, probability) pairs, in any order, for each upright RGB image."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorModel:
    """Adapts a user's predictor to the interface of all models."""

    predictor: Predictor
    version: str
    description: str = ""
    label_count: int = 0
    precision: str = ""
    runtime: str = "predictor"
    remark: str = ""
    enough_px: int = 0

    def prepare(self, image: PIL.Image.Image) -> PIL.Image.Image:
        return image

    def predict(
        self, prepared: Sequence[PIL.Image.Image], *, top_k: int
    ) -> list[tuple[Prediction, ...]]:
        """Ask the predictor, and keep the *top_k* most probable labels of each image.

        Raises:
            ValueError: It did not return labels with probabilities for each image.
        """
        answers = [_checked(pairs) for pairs in self.predictor.predict(list(prepared))]
        if len(answers) != len(prepared):
            raise ValueError(f"{len(answers)} answers for {len(prepared)} images")
        return [
            tuple(sorted(answer, key=lambda one: one.probability, reverse=True)[:top_k])
            for answer in answers
        ]


def load(origin: Origin, _serving: Serving) -> PredictorModel:
    """Load the class of the user's that the ``model.toml`` names."""
    folder, described = origin.needed_folder
    with code_of(folder) as home:
        predictor: Predictor = home.object_at(described.predictor or "")()
        predictor.load()
    return PredictorModel(
        predictor=predictor,
        version=versions.of_predictor(folder, described),
        description=described.description,
    )


def _checked(pairs: Iterable[tuple[str, float]]) -> list[Prediction]:
    return [Prediction(str(label), _in_range(label, float(number))) for label, number in pairs]


def _in_range(label: str, probability: float) -> float:
    """Clip a probability to 0..1, within the rounding of single precision."""
    if not -_ROUNDING <= probability <= 1 + _ROUNDING:  # also refuses NaN
        raise ValueError(f"the probability of {label!r} is {probability}, not in 0..1")
    return min(1.0, max(0.0, probability))
