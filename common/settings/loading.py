"""Load the settings of a role, or end the process with one line that says what is wrong."""

import os
import sys
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

    Exits with *status* after one line that names variable, value and what is allowed. Variables
    that mean nothing, and values that are more than can be used, get a line each.
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
    """Say in one line which variable is wrong, what it holds and what is allowed."""
    if not error["loc"]:
        return str(error["ctx"]["error"])
    field = str(error["loc"][0])
    # A connection string may hold a password, which must not reach a log.
    value = "(hidden)" if field.endswith("_url") else repr(error["input"] or "")
    return f"{PREFIX}{field.upper()}={value} is not allowed; allowed: {allowed(kind, field)}"


def allowed(kind: type[RoleSettings], field: str) -> str:
    """Describe the values that *field* takes."""
    schema: dict[str, Any] = kind.model_json_schema()["properties"][field]
    if "allowed" in schema:
        return str(schema["allowed"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    limits = [
        f"{words} {schema[key]:,}".replace(",", "")
        for key, words in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "more than"),
            ("maximum", "at most"),
        )
        if key in schema
    ]
    noun = {"integer": "a whole number", "number": "a number", "array": "a comma-separated list"}
    if schema.get("format") == "path":
        return "the path of a folder"
    return " ".join([noun.get(schema.get("type", ""), "text"), " and ".join(limits)]).strip()
