"""From the name of a model to the model."""

from pathlib import Path

from consumer.models import folder
from consumer.models.errors import ModelUnavailableError
from consumer.models.model import Model


def load_model(name: str, *, models_dir: Path, weights_dir: Path) -> Model:
    """Load the model *name*: the folder of that name, else torchvision's model.

    Raises:
        ModelUnavailableError: It cannot be had; the text says why.
    """
    try:
        if (models_dir / name / folder.DESCRIPTION_FILE).is_file():
            return folder.load(models_dir / name)
        # torch only here, as in the folders.
        from consumer.models import torchvision_zoo  # noqa: PLC0415

        return torchvision_zoo.load(name, weights_dir=weights_dir)
    except ModelUnavailableError:
        raise
    except Exception as exc:  # weights and code of users fail in any way they like
        raise ModelUnavailableError(f"{type(exc).__name__}: {exc}") from exc
