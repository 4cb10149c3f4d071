"""The problem types that only failed jobs carry."""

from typing import Final

from common.problems.types import Problem

IMAGE_UNDECODABLE: Final = Problem(
    name="image-undecodable",
    title="The image cannot be decoded",
    in_jobs="the header was that of an image; the rest was truncated, broken, or of a kind that "
    "the `detail` names",
)
IMAGE_GONE: Final = Problem(
    name="image-gone",
    title="The image is gone",
    in_jobs="the image is no longer in the store, or not in a form that this version can read",
)
IMAGE_DECODE_TIMEOUT: Final = Problem(
    name="image-decode-timeout",
    title="The image takes too long to decode",
    in_jobs="decoding took longer than `DARKROOM_DECODE_LIMIT_S`; there is one attempt",
)
MODEL_FAILED: Final = Problem(
    name="model-failed",
    title="The model failed",
    in_jobs="the model, or the predictor of yours, raised an error over this image, or gave "
    "numbers that are not finite",
)
ENGINE_DIED: Final = Problem(
    name="engine-died",
    title="The engine died",
    in_jobs="the engine crashed or was killed over this image, at every attempt",
)
ENGINE_TIMEOUT: Final = Problem(
    name="engine-timeout",
    title="The engine took too long",
    in_jobs="it took longer than `DARKROOM_JOB_TIME_LIMIT_S`, at every attempt",
)
ENGINE_MEMORY: Final = Problem(
    name="engine-memory",
    title="The engine took too much memory",
    in_jobs="it took more memory than `DARKROOM_ENGINE_MEMORY_LIMIT_MB`, or than it was given, at "
    "every attempt",
)
CONSUMER_STUCK: Final = Problem(
    name="consumer-stuck",
    title="The consumer was stuck",
    in_jobs="the consumer held this job far longer than `DARKROOM_JOB_TIME_LIMIT_S`, at every "
    "attempt",
)
CONSUMER_DIED: Final = Problem(
    name="consumer-died",
    title="The consumer died",
    in_jobs="the consumer died over this job, at every attempt",
)
DEAD_LETTERED: Final = Problem(
    name="dead-lettered",
    title="The message was dead-lettered",
    in_jobs="a consumer that is not one of Darkroom's rejected the message of the job",
)

OWNER_DIED: Final = CONSUMER_DIED.failure("The consumer that worked on this job died.")
OWNER_STUCK: Final = CONSUMER_STUCK.failure(
    "The consumer that worked on this job took far longer than an engine may."
)
