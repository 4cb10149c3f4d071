"""The description of the operations of health (OpenAPI)."""

from api.health.schemas import HealthView, ReadinessView
from api.openapi_parts import Description, json_answer, problem_answers


def describe_health() -> Description:
    """Describe the paths."""
    return {
        "/healthz": {
            "get": {
                "operationId": "isAlive",
                "summary": "Liveness of the process that answers",
                "responses": {"200": json_answer("It is alive", HealthView)} | problem_answers(),
            }
        },
        "/readyz": {
            "get": {
                "operationId": "isReady",
                "summary": "Whether a job handed in now would be classified soon",
                "responses": {"200": json_answer("It is ready", ReadinessView)}
                | problem_answers(503),
            }
        },
    }
