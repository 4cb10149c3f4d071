"""The schemas of models."""

from typing import Self

from pydantic import BaseModel, Field

from common.workers import ModelState, ServedModel


class ModelView(BaseModel):
    name: str
    state: ModelState
    default: bool
    reason: str | None = Field(None, description="why the model is unavailable")
    version: str | None = Field(
        None,
        description="a digest of everything that decides the answers: weights, labels, ...",
    )
    labels: int | None = Field(None, description="the number of its labels")
    description: str | None = None
    precision: str | None = Field(
        None,
        description="the type of its arithmetic",
        examples=["float32", "half", "bfloat16", "int8"],
    )
    runtime: str | None = Field(
        None,
        description="onnx, openvino, torch, or predictor (the model is Python code)",
    )
    remark: str | None = Field(
        None, description="how the model differs from what the settings ask for"
    )
    threads: int | None = Field(None, description="how many threads compute one image")
    engines: int | None = Field(None, description="how many engines of a consumer serve the model")

    @classmethod
    def of(cls, model: ServedModel, *, default: str) -> Self:
        return cls(
            name=model.name,
            state=model.state,
            default=model.name == default,
            reason=model.reason or None,
            version=model.version or None,
            labels=model.labels or None,
            description=model.description or None,
            precision=model.precision or None,
            runtime=model.runtime or None,
            remark=model.remark or None,
            threads=model.threads or None,
            engines=model.engines or None,
        )


class ModelList(BaseModel):
    models: list[ModelView]
