"""The description of the operations on samples (OpenAPI)."""

from typing import Final

from api.openapi_parts import Description, json_answer, problem_answer, problem_answers
from api.samples.schemas import SampleList

_NAMES: Final = [
    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name in ("model", "name")
]
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_IMAGES: Final = {f"image/{kind}": _BYTES for kind in ("jpeg", "png", "webp")}


def describe_samples() -> Description:
    """Describe the paths."""
    return {
        "/samples": {
            "get": {
                "operationId": "listSamples",
                "summary": "List the sample images of the models",
                "responses": {"200": json_answer("Paths of samples by model", SampleList)}
                | problem_answers(),
            }
        },
        "/samples/{model}/{name}": {
            "get": {
                "operationId": "showSample",
                "summary": "Get a sample image",
                "parameters": _NAMES,
                "responses": {
                    "200": {"description": "The image", "content": _IMAGES},
                    "404": problem_answer("There is no such sample"),
                }
                | problem_answers(),
            }
        },
    }
