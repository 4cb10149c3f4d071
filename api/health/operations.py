"""The description of the operations of health (OpenAPI)."""

from api.health.schemas import HealthView, ReadinessView
from api.openapi_parts import Description, json_answer, problem_answers


def describe_health() -> Description:
    """Describe the paths."""
    return {
        "/healthz": {
            "get": {
                "operationId": "isAlive",
                "summary": "Check that the process is alive",
                "responses": {"200": json_answer("The process is alive", HealthView)}
                | problem_answers(),
            }
        },
        "/readyz": {
            "get": {
                "operationId": "isReady",
                "summary": "Check whether a job submitted now would be classified soon",
                "responses": {"200": json_answer("The service is ready", ReadinessView)}
                | problem_answers(503),
            }
        },
    }
