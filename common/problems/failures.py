"""The problem types that only failed jobs carry."""

from typing import Final

from common.problems.types import Problem

IMAGE_UNDECODABLE: Final = Problem(
    name="image-undecodable",
    title="The image cannot be decoded",
    in_jobs="the header is that of an image, but the rest is truncated, broken, or of a kind "
    "that the `detail` names",
)
IMAGE_GONE: Final = Problem(
    name="image-gone",
    title="The image is gone",
    in_jobs="the image is no longer in the store, or this version cannot read it",
)
IMAGE_DECODE_TIMEOUT: Final = Problem(
    name="image-decode-timeout",
    title="The image takes too long to decode",
    in_jobs="decoding took longer than `DARKROOM_DECODE_LIMIT_S`; this is not tried again",
)
MODEL_FAILED: Final = Problem(
    name="model-failed",
    title="The model failed",
    in_jobs="the model, or your predictor, raised an error for this image, or returned numbers "
    "that are not finite",
)
ENGINE_DIED: Final = Problem(
    name="engine-died",
    title="The engine died",
    in_jobs="the engine crashed or was killed while it computed this image, in every attempt",
)
ENGINE_TIMEOUT: Final = Problem(
    name="engine-timeout",
    title="The engine took too long",
    in_jobs="the engine took longer than `DARKROOM_JOB_TIME_LIMIT_S`, in every attempt",
)
ENGINE_MEMORY: Final = Problem(
    name="engine-memory",
    title="The engine took too much memory",
    in_jobs="the engine needed more memory than `DARKROOM_ENGINE_MEMORY_LIMIT_MB`, or than the "
    "system gave it, in every attempt",
)
CONSUMER_STUCK: Final = Problem(
    name="consumer-stuck",
    title="The consumer was stuck",
    in_jobs="the consumer held this job far longer than `DARKROOM_JOB_TIME_LIMIT_S`, in every "
    "attempt",
)
CONSUMER_DIED: Final = Problem(
    name="consumer-died",
    title="The consumer died",
    in_jobs="the consumer died while it worked on this job, in every attempt",
)
DEAD_LETTERED: Final = Problem(
    name="dead-lettered",
    title="The message was dead-lettered",
    in_jobs="a consumer outside Darkroom rejected the message of the job",
)

OWNER_DIED: Final = CONSUMER_DIED.failure("The consumer that worked on this job died.")
OWNER_STUCK: Final = CONSUMER_STUCK.failure(
    "The consumer that worked on this job took far longer than the limit of an engine."
)
