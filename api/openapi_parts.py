"""Common parts of the descriptions of operations (OpenAPI 3.1)."""

from typing import Any, Final

from openapi_pydantic.util import PydanticSchema
from pydantic import BaseModel

from api.problems import MEDIA_TYPE
from api.schemas import ProblemView
from common.problems import answers

# An object of OpenAPI, as JSON; the schemas in it are still classes.
Description = dict[str, Any]

_MEANINGS: Final = {
    400: "The request cannot be read",
    404: answers.JOB_NOT_FOUND.title,
    409: "The job has not failed",
    413: "The image or the body is too large",
    415: "Not an image, or not in an accepted format or content coding",
    422: "A field or the image is invalid",
    429: "Too many requests from one address; try again after Retry-After",
    503: "Temporarily unavailable; try again after Retry-After",
}


def schema_of(view: type[BaseModel]) -> PydanticSchema[BaseModel]:
    """Refer to the schema of *view*."""
    return PydanticSchema(schema_class=view)


def json_answer(description: str, view: type[BaseModel]) -> Description:
    """Describe an answer of JSON."""
    return {
        "description": description,
        "content": {"application/json": {"schema": schema_of(view)}},
    }


def problem_answers(*statuses: int) -> Description:
    """Describe the problems of an operation by their statuses, with those of every operation."""
    # nginx limits them all.
    meanings = {str(status): _MEANINGS[status] for status in sorted((*statuses, 429))}
    return {
        status: problem_answer(meaning)
        for status, meaning in (meanings | {"default": "Any other error"}).items()
    }


def problem_answer(meaning: str) -> Description:
    """Describe one problem, where it means something else than in other operations."""
    return {
        "description": meaning,
        "content": {MEDIA_TYPE: {"schema": schema_of(ProblemView)}},
    }
