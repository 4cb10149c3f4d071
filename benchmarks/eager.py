"""Eager torch, as a script would use it: the baseline for everything else."""

from collections.abc import Iterable
from dataclasses import dataclass

import PIL.Image
import torch

from benchmarks.material import EAGER
from common.settings.consumer import ConsumerSettings
from engine.models.classifier import Classifier
from engine.models.model import classify
from engine.models.origin import Origin
from engine.models.paths import ModelPaths
from engine.models.pretrained_loading import load_pretrained
from engine.runtimes.network import Floats
from engine.runtimes.precision import Precision


@dataclass(frozen=True, slots=True)
class Eager:
    """A module in inference mode, neither fused nor compiled."""

    module: torch.nn.Module
    runtime: str = "eager"
    precision: Precision = "float32"

    def __call__(self, images: Floats) -> Floats:
        with torch.inference_mode():
            logits: Floats = self.module(torch.from_numpy(images)).numpy()
        return logits


def eager_classifier(name: str, where: ModelPaths) -> Classifier:
    """Load the model *name*, with the preprocessing that all runtimes share."""
    pretrained = load_pretrained(Origin.find(name, where))
    return Classifier(network=Eager(pretrained.module), spec=pretrained.spec)


class EagerPredictor:
    """The same inside the service, whose engine loads it as a user's own code."""

    _TOP_K = 5

    def load(self) -> None:
        settings = ConsumerSettings()
        where = ModelPaths(settings.models_dir.absolute(), settings.weights_dir.absolute())
        name = (where.models / EAGER / "network").read_text()
        torch.set_num_threads(settings.threads_per_engine)
        self._classifier = eager_classifier(name, where)

    def predict(self, images: list[PIL.Image.Image]) -> Iterable[Iterable[tuple[str, float]]]:
        answers = classify(self._classifier, images, top_k=self._TOP_K)
        return [[(one.label, one.probability) for one in answer] for answer in answers]
