"""Load the settings of a role, or end the process with one line that says what is wrong."""

import os
import sys
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from common.settings.api import ApiSettings
from common.settings.base import PREFIX, RoleSettings
from common.settings.consumer import ConsumerSettings
from common.settings.courier import CourierSettings
from common.spelling import unknown_settings

_BAD_SETTING: Final = 2
# Roles share an environment: a setting of another role is no misspelt one.
KNOWN: Final = frozenset(
    name for role in (ApiSettings, ConsumerSettings, CourierSettings) for name in role.model_fields
)

S = TypeVar("S", bound=RoleSettings)


def load_or_exit(kind: type[S], *, status: int = _BAD_SETTING) -> S:
    """Read settings of *kind* from the environment; a bad value ends the process.

    Exits with *status* after one line with the variable, its value and what is expected. Unknown
    variables, and values above what can be used, get a line each.
    """
    try:
        settings = kind()
    except ValidationError as exc:
        sys.stderr.write(f"darkroom: {describe(kind, exc.errors(include_url=False)[0])}\n")
        sys.exit(status)
    unknown = unknown_settings(os.environ, prefix=PREFIX, fields=KNOWN | kind.model_fields.keys())
    for line in (*unknown, *settings.clipped):
        sys.stderr.write(f"darkroom: {line}\n")
    return settings


def describe(kind: type[RoleSettings], error: ErrorDetails) -> str:
    """Say in one line which variable is wrong, what it holds and what is expected."""
    if not error["loc"]:
        return str(error["ctx"]["error"])
    field = str(error["loc"][0])
    # A connection string may hold a password, which must not reach a log.
    value = "(hidden)" if field.endswith("_url") else repr(error["input"] or "")
    return f"{PREFIX}{field.upper()}={value} is invalid: expected {expected(kind, field)}"


def expected(kind: type[RoleSettings], field: str) -> str:
    """Describe the values that *field* takes."""
    schema: dict[str, Any] = kind.model_json_schema()["properties"][field]
    if "expected" in schema:
        return str(schema["expected"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    if schema.get("format") == "path":
        return "the path of a folder"
    noun = {"integer": "a whole number", "number": "a number", "array": "a comma-separated list"}
    return f"{noun.get(schema.get('type', ''), 'text')}{_limits(schema)}"


def _limits(schema: Mapping[str, Any]) -> str:
    if "maximum" not in schema:
        return ""
    if "minimum" in schema:
        return f" from {schema['minimum']:.0f} to {schema['maximum']:.0f}"
    return f" above {schema['exclusiveMinimum']:.0f} and at most {schema['maximum']:.0f}"
