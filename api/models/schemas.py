"""The schemas of models."""

from typing import Self

from pydantic import BaseModel, Field

from common.workers import ModelState, ServedModel


class ModelView(BaseModel):
    name: str
    state: ModelState
    default: bool
    reason: str | None = Field(None, description="why it is unavailable")
    version: str | None = Field(
        None,
        description="a digest of all that decides its answers: weights, labels, preprocessing, ...",
    )
    labels: int | None = Field(None, description="how many labels it tells apart")
    description: str | None = None
    precision: str | None = Field(
        None, description="what it computes in", examples=["float32", "half", "bfloat16", "int8"]
    )
    runtime: str | None = Field(
        None,
        description="onnx, openvino, torch, or predictor: code of its own",
    )
    remark: str | None = Field(None, description="what is not as it was asked for, or not exact")
    threads: int | None = Field(None, description="how many compute one image")
    engines: int | None = Field(None, description="how many processes of a consumer serve it")

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
