"""The networks that torch makes, by where they come from. This module loads torch."""

from engine.models import checkpoint, torchvision_zoo
from engine.models.errors import told_as_unavailable
from engine.models.origin import Origin
from engine.models.pretrained import Pretrained


def load_pretrained(origin: Origin) -> Pretrained:
    """Make a network with torch, and load its weights.

    Raises:
        ModelUnavailableError: It cannot be made; the text says why.
    """
    with told_as_unavailable():
        if origin.folder is None or origin.described is None:
            return torchvision_zoo.load(origin.name, weights_dir=origin.places.weights)
        return checkpoint.load(origin.folder, origin.described)
