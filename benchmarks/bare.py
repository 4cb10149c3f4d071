"""A model alone, in this process, as an engine runs it."""

from benchmarks.engine import NO_LIMIT, TOP_K
from common.settings.consumer import Runtime
from engine.decoding.decode import decode
from engine.models.classifier import Classifier
from engine.models.loading import load_model
from engine.models.model import classify
from engine.models.places import Places


def served_by(runtime: Runtime, name: str, where: Places) -> Classifier | None:
    """Load a model as an engine does; None if another runtime would serve it instead."""
    model = load_model(name, where, runtime=runtime, threads=1)
    return model if isinstance(model, Classifier) and model.runtime == runtime else None


def whole(classifier: Classifier, image: bytes) -> object:
    """Go all the way from a file to labels."""
    return classify(classifier, [decode(image, max_pixels=NO_LIMIT)], top_k=TOP_K)
