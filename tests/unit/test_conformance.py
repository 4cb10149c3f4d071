"""The API keeps to its OpenAPI description, whatever is sent; schemathesis makes the requests."""

from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as examples
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.service import Api

# A description cannot name the models that are served, nor say that a query and a body must not
# contradict each other. So a submission may fit the description and be refused.
REFUSED_WITH_REASON: Final[dict[str, list[Any]]] = {"POST /jobs": [positive_data_acceptance]}
FEW: Final = examples(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

api = Api(max_wait_s=0)
description = schemathesis.openapi.from_wsgi("/openapi.json", api.app)


@description.parametrize()
@FEW
def test_every_answer_is_as_described(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(excluded_checks=REFUSED_WITH_REASON.get(case.operation.label, []))
