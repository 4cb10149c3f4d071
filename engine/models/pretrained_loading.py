"""Build networks with torch. Importing this module loads torch."""

from engine.models import checkpoint, torchvision_zoo
from engine.models.errors import told_as_unavailable
from engine.models.origin import Origin
from engine.models.pretrained import Pretrained


def load_pretrained(origin: Origin) -> Pretrained:
    """Build a network with torch, and load its weights.

    Raises:
        ModelUnavailableError: It cannot be loaded; the text says why.
    """
    with told_as_unavailable():
        if origin.folder is None or origin.described is None:
            return torchvision_zoo.load(origin.name, weights_dir=origin.paths.weights)
        return checkpoint.load(origin.folder, origin.described)
