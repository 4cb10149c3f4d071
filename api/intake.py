"""Refused images as problems."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from api.problems import ProblemError
from common import intake
from common.intake import Limits, RefusedImageError
from common.jobs import Image

_STATUS: Final[Mapping[str, HTTPStatus]] = {
    "image-empty": HTTPStatus.BAD_REQUEST,
    "image-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "image-unreadable": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "image-too-many-pixels": HTTPStatus.UNPROCESSABLE_ENTITY,
}


def accept(image: bytes, *, source: str, limits: Limits) -> Image:
    """Check the size and the header of *image*, and describe it.

    Raises:
        ProblemError: The image is empty, too large, or in no accepted format.
    """
    try:
        return intake.accept(image, source=source, limits=limits)
    except RefusedImageError as exc:
        raise ProblemError(
            _STATUS[exc.name], exc.name, exc.title, exc.detail, **exc.members
        ) from exc
