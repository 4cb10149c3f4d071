"""The description of the operations on models (OpenAPI)."""

from api.models.schemas import ModelList
from api.openapi_parts import Description, json_answer, problem_answers


def describe_models() -> Description:
    """Describe the paths."""
    return {
        "/models": {
            "get": {
                "operationId": "listModels",
                "summary": "List the models",
                "responses": {"200": json_answer("The models", ModelList)} | problem_answers(503),
            }
        }
    }
