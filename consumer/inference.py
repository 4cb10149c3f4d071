"""The models of one engine, and how they answer."""

import time
from dataclasses import dataclass
from typing import Self

import PIL.Image
import structlog

from common.problems import failure
from common.workers import ModelState, ServedModel
from consumer.models.errors import ModelUnavailableError
from consumer.models.loading import load_model
from consumer.models.model import Model
from consumer.models.places import Places
from consumer.pixels import UndecodableImageError, decode
from consumer.protocol import Answer, EngineConfig, Question, Refusal, Reply

log = structlog.stdlib.get_logger(__name__)

_WARM_UP_PX = (64, 64)


@dataclass(frozen=True, slots=True)
class Models:
    """Loaded models by name, and what is known of all that were asked for."""

    served: tuple[ServedModel, ...]
    ready: dict[str, Model]
    max_image_pixels: int

    @classmethod
    def load(cls, config: EngineConfig) -> Self:
        """Load and warm every model; one that cannot be had does not hinder the others."""
        served, ready = [], {}
        for name in config.models:
            try:
                model = _load_and_warm(name, config)
            except ModelUnavailableError as exc:
                log.warning("model unavailable", model=name, reason=str(exc))
                served.append(ServedModel(name=name, state=ModelState.UNAVAILABLE, reason=str(exc)))
                continue
            ready[name] = model
            served.append(
                ServedModel(
                    name=name,
                    state=ModelState.READY,
                    version=model.version,
                    labels=model.label_count,
                    description=model.description,
                    runtime=model.runtime,
                    remark=model.remark,
                    threads=config.threads,
                )
            )
            log.info(
                "model ready",
                model=name,
                version=model.version,
                runtime=model.runtime,
                threads=config.threads,
                **({"remark": model.remark} if model.remark else {}),
            )
        return cls(tuple(served), ready, config.max_image_pixels)

    def answer(self, question: Question) -> Reply:
        """Decode, preprocess and classify one image."""
        with structlog.contextvars.bound_contextvars(job_id=question.job_id):
            return self._answer(question)

    def _answer(self, question: Question) -> Reply:
        model = self.ready.get(question.model)
        if model is None:
            return _refuse("model-unavailable", "The model is unavailable", question.model)
        started_s = time.perf_counter()
        try:
            image = decode(question.image, max_pixels=self.max_image_pixels)
            [predictions] = model.predict([image], top_k=question.top_k)
        except UndecodableImageError as exc:
            return _refuse("image-undecodable", "The image cannot be decoded", str(exc))
        except MemoryError:
            raise  # the engine is in no state to go on; the next one gets the job
        except Exception as exc:
            log.exception("the model failed", model=question.model)
            return _refuse("model-failed", "The model failed", f"{type(exc).__name__}: {exc}")
        inference_ms = (time.perf_counter() - started_s) * 1000
        return Answer(predictions, model.version, round(inference_ms, 3))


def _load_and_warm(name: str, config: EngineConfig) -> Model:
    places = Places(config.models_dir, config.weights_dir)
    model = load_model(name, places, runtime=config.runtime, threads=config.threads)
    try:
        model.predict([PIL.Image.new("RGB", _WARM_UP_PX)], top_k=1)
    except Exception as exc:
        log.exception("the model failed at its first image", model=name)
        raise ModelUnavailableError(f"its first image failed: {exc!r}") from exc
    return model


def _refuse(name: str, title: str, detail: str) -> Refusal:
    return Refusal(failure(name, title, detail))
