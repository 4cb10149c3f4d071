"""The models of one engine, and how they answer."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

import PIL.Image
import structlog

from common.problems import answers, failures
from common.text import joined, text_of
from common.workers import ModelState, ServedModel
from engine.decoding.decode import UndecodableImageError, decode
from engine.models.errors import ModelUnavailableError, NotFiniteError
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.paths import ModelPaths
from engine.protocol import Answer, EngineConfig, Question, Refusal, Reply

log = structlog.stdlib.get_logger(__name__)

_WARM_UP_PX = (64, 64)

Decoding = Callable[[int], AbstractContextManager[None]]


def _untimed(_index: int) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Models:
    """Loaded models by name, and what is known of all that were asked for."""

    served: tuple[ServedModel, ...]
    ready: dict[str, Model]
    max_image_pixels: int
    dct_scaling: bool = False

    @classmethod
    def load(cls, config: EngineConfig) -> Self:
        """Load and warm up every model; one that is unavailable does not affect the others."""
        served, ready = [], {}
        for name in config.models:
            try:
                model = _load_and_warm(name, config)
            except ModelUnavailableError as exc:
                log.warning("model unavailable", model=name, reason=str(exc))
                served.append(ServedModel(name=name, state=ModelState.UNAVAILABLE, reason=str(exc)))
                continue
            ready[name] = model
            remark = _remark(model, config)
            served.append(
                ServedModel(
                    name=name,
                    state=ModelState.READY,
                    version=model.version,
                    labels=model.label_count,
                    description=model.description,
                    precision=model.precision,
                    runtime=model.runtime,
                    remark=remark,
                    threads=config.threads,
                )
            )
            log.info(
                "model ready",
                model=name,
                version=model.version,
                runtime=model.runtime,
                threads=config.threads,
                **({"remark": remark} if remark else {}),
            )
        return cls(tuple(served), ready, config.max_image_pixels, config.dct_scaling)

    def prepare(self, questions: Sequence[Question], *, decoding: Decoding = _untimed) -> "Batch":
        """Decode and preprocess the image of every question.

        Args:
            questions: What is asked together.
            decoding: Entered while an image is decoded, with the index of its question.
        """
        return Batch(
            tuple(self._prepare(one, decoding(index)) for index, one in enumerate(questions))
        )

    def _prepare(
        self, question: Question, timed: AbstractContextManager[None]
    ) -> "_Prepared | Refusal":
        with structlog.contextvars.bound_contextvars(job_id=question.job_id):
            model = self.ready.get(question.model)
            if model is None:
                return Refusal(answers.MODEL_UNAVAILABLE.failure(question.model))
            started_s = time.perf_counter()
            try:
                with timed:
                    image = decode(
                        question.image,
                        max_pixels=self.max_image_pixels,
                        enough_px=model.enough_px if self.dct_scaling else 0,
                    )
                pixels = model.prepare(image)
            except UndecodableImageError as exc:
                return Refusal(failures.IMAGE_UNDECODABLE.failure(str(exc)))
            except MemoryError:
                raise  # the engine is in no state to go on; the next one gets the job
            except BaseException as exc:  # also what user code raises to end a program
                log.exception("the image could not be preprocessed", model=question.model)
                return _model_failed(exc)
            return _Prepared(question, model, pixels, _since_ms(started_s))


@dataclass(frozen=True, slots=True)
class _Prepared:
    question: Question
    model: Model
    pixels: Any
    took_ms: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions that are ready to be computed, and refusals of those that never will be."""

    parts: tuple[_Prepared | Refusal, ...]

    def answer(self) -> tuple[Reply, ...]:
        """Compute what can be computed at once; reply in the order of the questions."""
        together: dict[Any, list[int]] = {}
        replies: dict[int, Reply] = {}
        for number, part in enumerate(self.parts):
            if isinstance(part, Refusal):
                replies[number] = part
            else:
                alike = (part.question.model, getattr(part.pixels, "shape", None))
                together.setdefault(alike, []).append(number)
        for numbers in together.values():
            group = [part for n in numbers if isinstance(part := self.parts[n], _Prepared)]
            replies |= zip(numbers, _computed(group), strict=True)
        return tuple(replies[number] for number in range(len(self.parts)))


def _computed(group: Sequence[_Prepared]) -> list[Reply]:
    """Compute the questions to one model, all with images of one size."""
    model, top_k = group[0].model, max(one.question.top_k for one in group)
    started_s = time.perf_counter()
    try:
        answers = model.predict([one.pixels for one in group], top_k=top_k)
    except MemoryError:
        raise
    except BaseException as exc:  # also what user code raises to end a program
        if len(group) > 1:  # one of them fails, not all
            return [reply for one in group for reply in _computed([one])]
        asked = group[0].question
        log.exception("the model failed", model=asked.model, job_id=asked.job_id)
        return [_model_failed(exc)]
    took_ms = _since_ms(started_s)
    return [
        Answer(predictions[: one.question.top_k], model.version, round(one.took_ms + took_ms, 3))
        for one, predictions in zip(group, answers, strict=True)
    ]


def _load_and_warm(name: str, config: EngineConfig) -> Model:
    model = _load(name, config)
    try:
        classify(model, [PIL.Image.new("RGB", _WARM_UP_PX)], top_k=1)
    except NotFiniteError:  # over an image of one colour, that may be; others are to be seen
        log.warning(
            "the model returns numbers that are not finite for an image of one colour", model=name
        )
    except BaseException as exc:
        log.exception("the model failed on its first image", model=name)
        raise ModelUnavailableError(f"its first image failed: {text_of(exc)}") from exc
    return model


def _load(name: str, config: EngineConfig) -> Model:
    try:
        return load_model(
            name,
            ModelPaths(config.models_dir, config.weights_dir),
            runtime=config.runtime,
            threads=config.threads,
            computing=config.computing,
        )
    except (ModelUnavailableError, MemoryError):
        raise
    except BaseException as exc:  # also what its code raises to end a program; others are served
        log.exception("loading the model failed", model=name)
        raise ModelUnavailableError(f"its code failed: {text_of(exc)}") from exc


def _model_failed(error: BaseException) -> Refusal:
    return Refusal(failures.MODEL_FAILED.failure(text_of(error)))


def _since_ms(started_s: float) -> float:
    return (time.perf_counter() - started_s) * 1000


def _remark(model: Model, config: EngineConfig) -> str:
    scales = config.dct_scaling and model.enough_px
    scaling = f"JPEGs are scaled down to {model.enough_px} px or more as they are decoded"
    return joined(model.remark, scaling if scales else "")
