"""What is finished is kept for the time of retention, and no longer; the rest for ever."""

import time
import uuid
from collections.abc import Iterator

import pytest

from common.mongo.connection import ServerClock, connect, open_database
from common.mongo.jobs import MongoJobStore
from common.problems import failure
from tests.examples import a_job

# Stores look for expired documents once a minute.
_TTL_ROUND_S = 75


@pytest.fixture
def store(embedded_mongo_url: str) -> Iterator[MongoJobStore]:
    name = f"retention-{uuid.uuid4().hex[:12]}"
    with connect(embedded_mongo_url, timeout_s=5) as client:
        database = open_database(client, name)
        yield MongoJobStore(database, now_ms=ServerClock(database).now_ms, publish_after_s=5)
        client.drop_database(name)


@pytest.mark.timeout(150)
def test_a_finished_job_expires_with_its_image_and_an_unfinished_one_never(
    store: MongoJobStore,
) -> None:
    store.ensure_indexes(retention_s=3600)
    store.ensure_indexes(retention_s=1)  # as after a change of the setting
    finished, waiting = a_job(), a_job()
    for job in (finished, waiting):
        store.add(job, b"pixels")
    reason = failure("image-gone", "The image is gone", "")
    store.save(finished.fail(reason), previous=finished)
    store.retire_images()

    deadline_s = time.monotonic() + _TTL_ROUND_S
    while store.get(finished.job_id) or store.image(finished.job_id):
        assert time.monotonic() < deadline_s, "the finished job has not expired"
        time.sleep(0.5)

    assert store.get(waiting.job_id) == waiting
    assert store.image(waiting.job_id) == b"pixels"
