"""Schemas that all resources share."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from common.problems import answers


class ProblemView(BaseModel):
    """Problem details, RFC 9457; further members depend on the type."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=[answers.IMAGE_TOO_MANY_PIXELS.type])
    title: str
    status: int
    detail: str


def as_json(view: BaseModel) -> dict[str, Any]:
    """Dump *view* without the members that have no value."""
    return view.model_dump(mode="json", exclude_none=True)
