"""A job as a dictionary."""

from dataclasses import asdict

from common.as_dict import as_dict
from common.jobs import Result
from tests.examples import OWNER, TABBY, a_job


def test_it_says_what_the_standard_library_says() -> None:
    result = Result(
        predictions=(TABBY, TABBY), model="m", model_version="v", queue_ms=1.5, inference_ms=2.5
    )
    job = a_job(metadata={"shelf": 3, "tags": "a,b"}).claim(OWNER).succeed(result)

    assert as_dict(job) == asdict(job)
