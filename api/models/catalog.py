"""The models and image formats that can be used, as the living consumers report them."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from api.problems import ProblemError
from common.formats import FORMATS
from common.headers.others import spoken
from common.ports.workers import WorkerRegistry
from common.problems import answers
from common.workers import ModelState, ServedModel, lacked_formats, merge_models

_MAX_AGE_S: Final = 1.0
_UNAVAILABLE_RETRY_AFTER_S: Final = 30


class ModelCatalog:
    """The models that are configured, and those that any consumer serves.

    The consumers' records are cached for a second, so that submissions do not query each time.
    """

    def __init__(
        self, registry: WorkerRegistry, *, configured: Sequence[str], default: str
    ) -> None:
        self.default = default
        self._registry = registry
        self._configured = {
            name: ServedModel(name=name, state=ModelState.LOADING) for name in configured
        }
        self._read_at_s = -_MAX_AGE_S
        self._models: Mapping[str, ServedModel] = self._configured
        self._lacked: frozenset[str] = frozenset()

    def models(self) -> Mapping[str, ServedModel]:
        """Return the models by name. One that no consumer has reported yet counts as loading."""
        self._read()
        return self._models

    def check_format(self, image_format: str) -> None:
        """Check that every living consumer can decode *image_format*, by Pillow's name.

        Raises:
            ProblemError: One of them cannot, and it may get the job (415).
        """
        self._read()
        if image_format in self._lacked:
            accepted = [name for name in FORMATS if name not in self._lacked]
            raise ProblemError(
                answers.IMAGE_UNREADABLE,
                f"It is {spoken(image_format)}, and a consumer of this service was "
                f"installed without what decodes those. Accepted formats: {', '.join(accepted)}.",
                accepted=accepted,
            )

    def choose(self, name: str | None) -> str:
        """Return the name of the model that a submission gets.

        Raises:
            ProblemError: No such model (422), or it is unavailable for now (503).
        """
        models = self.models()
        chosen = models.get(name or self.default)
        if chosen is None:
            raise ProblemError(
                answers.MODEL_UNKNOWN,
                f"There is no model {name!r}; there are: {', '.join(sorted(models))}.",
                models=sorted(models),
            )
        if chosen.state is ModelState.UNAVAILABLE:
            raise ProblemError(
                answers.MODEL_UNAVAILABLE,
                f"The model {chosen.name!r} is unavailable: {chosen.reason}",
                headers={"Retry-After": str(_UNAVAILABLE_RETRY_AFTER_S)},
            )
        return chosen.name

    def _read(self) -> None:
        if time.monotonic() - self._read_at_s >= _MAX_AGE_S:
            workers = self._registry.living()
            self._models = self._configured | merge_models(workers)
            self._lacked = lacked_formats(workers)
            self._read_at_s = time.monotonic()
