"""The schemas of health."""

from typing import Literal

from pydantic import BaseModel, Field


class HealthView(BaseModel):
    status: Literal["ok"] = "ok"


class ReadinessView(BaseModel):
    status: Literal["ready"] = "ready"
    checks: dict[str, str] = Field(examples=[{"store": "ok", "broker": "ok", "consumer": "ok"}])
