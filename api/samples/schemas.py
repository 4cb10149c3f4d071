"""What the API answers about samples."""

from pydantic import RootModel


class SampleList(RootModel[dict[str, list[str]]]):
    """Paths of sample images, by the name of the model."""
