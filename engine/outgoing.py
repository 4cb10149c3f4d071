"""What leaves the engine: text of others is cleaned and cut before the parent gets it.

Messages of exceptions, labels and descriptions come from code and files that nobody here wrote.
A text that MongoDB cannot store would cost its job, and its neighbours, the consumer.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from common.jobs import Failure, Prediction
from common.text import cleaned
from common.workers import ServedModel
from engine.protocol import Answer, Refusal, Reply

_LABEL: Final = 200
_SENTENCE: Final = 500
_TEXT: Final = 1000


def cleaned_reply(reply: Reply) -> Reply:
    """Return *reply* with text that can be stored and shown."""
    if isinstance(reply, Refusal):
        return Refusal(_cleaned_failure(reply.reason))
    predictions = tuple(
        Prediction(cleaned(one.label, most=_LABEL), float(one.probability))
        for one in reply.predictions
    )
    return Answer(predictions, cleaned(reply.model_version, most=_LABEL), reply.inference_ms)


def cleaned_models(models: Iterable[ServedModel]) -> tuple[ServedModel, ...]:
    """Return what is said of the models, in text that can be stored and shown."""
    return tuple(
        replace(
            model,
            reason=cleaned(model.reason, most=_TEXT),
            remark=cleaned(model.remark, most=_TEXT),
            description=cleaned(model.description, most=_SENTENCE),
            version=cleaned(model.version, most=_LABEL),
            precision=cleaned(model.precision, most=_LABEL),
            runtime=cleaned(model.runtime, most=_LABEL),
        )
        for model in models
    )


def _cleaned_failure(reason: Failure) -> Failure:
    return replace(reason, detail=cleaned(reason.detail, most=_TEXT))
