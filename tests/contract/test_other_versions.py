"""Records of a later version, and damaged ones: read at every depth, or in nobody's way."""

import time
from dataclasses import replace
from typing import Any, Final

import pytest
from bson import DatetimeMS, decode, encode

from common.errors import UnreadableRecordError
from common.jobs import Job, JobId, JobState, OwnerId, new_job_id
from common.mongo.connection import connect, open_database
from common.mongo.documents import from_document
from common.mongo.reading import Reader
from common.problems.failures import OWNER_DIED
from common.workers import ModelState
from courier.duties.rescue import Rescuer
from tests.contract.conftest import StoreUnderTest
from tests.examples import OWNER, a_job, a_model, a_worker
from tests.records import (
    DAMAGES,
    FULL_JOB,
    KEY,
    LATER,
    Document,
    Path,
    at,
    damaged,
    document_of,
    in_state,
    objects_in,
    with_later_members,
)

FOR_EVER_MS: Final = 2**60
PLACES: Final = tuple(objects_in(document_of(FULL_JOB)))
PENDING: Final = in_state(FULL_JOB, JobState.PENDING)
PROCESSING: Final = in_state(FULL_JOB, JobState.PROCESSING)

every_depth = pytest.mark.parametrize(
    "place", PLACES, ids=lambda place: ".".join(map(str, place)) or "job"
)
every_damage = pytest.mark.parametrize("damage", DAMAGES)


def record(mongo: StoreUnderTest, document: Document) -> None:
    mongo.database["jobs"].insert_one(document)


def recorded(mongo: StoreUnderTest, job_id: Any) -> Document:
    document: Document = mongo.database["jobs"].find_one({"_id": job_id})
    return document


def test_the_places_are_those_of_every_object_in_a_job() -> None:
    assert set(PLACES) == {
        (),
        ("image",),
        ("metadata",),
        ("idempotency",),
        ("result",),
        ("result", "predictions", 0),
        ("result", "predictions", 1),
        ("error",),
        ("setbacks", 0),
        ("setbacks", 0, "reason"),
    }


@every_depth
def test_a_record_of_a_later_version_is_read_at_every_depth(
    mongo: StoreUnderTest, place: Path
) -> None:
    due = {"publish_due_ms": 1, "pending_since_ms": 1}
    record(mongo, with_later_members(document_of(PENDING, **due), place))
    jobs, job_id = mongo.jobs, PENDING.job_id

    expected = _with_later_metadata(PENDING, place)
    assert jobs.get(job_id) == expected
    assert jobs.find_by_key(KEY) == expected
    assert jobs.take_unpublished(lease_s=5) == expected
    jobs.mark_published(expected)
    [waiting] = jobs.waiting(queued_before_ms=FOR_EVER_MS, at_most=10)
    assert waiting == replace(expected, published_at=waiting.published_at)
    claimed = jobs.claim(job_id, fence=PENDING.fence, owner=OWNER)
    assert claimed is not None
    assert list(jobs.processing()) == [claimed] == [jobs.get(job_id)]
    assert jobs.newest_claim_ms() == 1


def _with_later_metadata(job: Job, place: Path) -> Job:
    """Metadata are the client's: a member there is one more of them."""
    return replace(job, metadata={**job.metadata, LATER: 1}) if place == ("metadata",) else job


def test_moves_keep_what_only_a_later_version_knows(mongo: StoreUnderTest) -> None:
    document = document_of(PENDING, publish_due_ms=1, pending_since_ms=1)
    record(mongo, with_later_members(document, *PLACES))
    kept = set(PLACES)

    def check() -> None:
        found = recorded(mongo, PENDING.job_id)
        assert {place for place in PLACES if _has_later(found, place)} == kept

    claimed = mongo.jobs.claim(PENDING.job_id, fence=PENDING.fence, owner=OWNER)
    assert claimed is not None
    check()
    given_back = claimed.give_back(OWNER_DIED, max_attempts=9)
    mongo.jobs.save(given_back, previous=claimed)
    check()
    assert mongo.jobs.get(PENDING.job_id) == given_back
    again = mongo.jobs.claim(PENDING.job_id, fence=given_back.fence, owner=OWNER)
    assert again is not None
    failed = again.give_back(OWNER_DIED, max_attempts=1)
    mongo.jobs.save(failed, previous=again)
    kept.remove(("error",))  # there is another error now
    check()
    mongo.jobs.save(failed.retry(), previous=failed)
    kept -= {("setbacks", 0), ("setbacks", 0, "reason")}  # a retry begins without them
    check()


def _has_later(document: Document, place: Path) -> bool:
    try:
        return LATER in at(document, place)
    except (KeyError, IndexError):
        return False


@every_depth
def test_a_job_of_a_later_version_expires_and_is_deleted(
    mongo: StoreUnderTest, place: Path
) -> None:
    done = in_state(FULL_JOB, JobState.DONE)
    record(mongo, with_later_members(document_of(done, finished_ms=1), place))
    other = replace(done, job_id=new_job_id(), idempotency=None)
    places = [place] if place != ("idempotency",) else []
    record(mongo, with_later_members(document_of(other), *places))

    assert mongo.jobs.expire(retention_s=60) == 1
    mongo.jobs.delete(other)

    assert mongo.database["jobs"].count_documents({}) == 0


@every_damage
def test_a_record_that_cannot_be_read_is_not_taken_for_one_that_is_not_there(
    mongo: StoreUnderTest, damage: str
) -> None:
    record(mongo, damaged(document_of(PENDING), damage))

    with pytest.raises(UnreadableRecordError):
        mongo.jobs.get(PENDING.job_id)
    if "idempotency" in recorded(mongo, PENDING.job_id):
        with pytest.raises(UnreadableRecordError):
            mongo.jobs.find_by_key(KEY)


@every_damage
def test_what_cannot_be_read_is_passed_over_by_whoever_looks_for_jobs(
    mongo: StoreUnderTest, damage: str
) -> None:
    broken_id, neighbour = PENDING.job_id, a_job()
    due = {"publish_due_ms": 1, "waiting_ms": 1, "pending_since_ms": 1}
    record(mongo, damaged(document_of(PENDING, **due), damage))
    record(mongo, document_of(neighbour, publish_due_ms=2, waiting_ms=2))
    jobs = mongo.jobs

    assert jobs.waiting(queued_before_ms=FOR_EVER_MS, at_most=1) == [neighbour]
    assert jobs.take_unpublished(lease_s=5) == neighbour
    assert jobs.take_unpublished(lease_s=5) is None
    assert jobs.claim(neighbour.job_id, fence=0, owner=OWNER) is not None
    assert [job.job_id for job in jobs.processing()] == [neighbour.job_id]
    before = damaged(document_of(PENDING), damage)
    assert before.items() <= recorded(mongo, broken_id).items()


@pytest.mark.parametrize("damage", [name for name in DAMAGES if "state" not in name])
def test_a_processing_record_that_cannot_be_read_keeps_nobody_from_the_others(
    mongo: StoreUnderTest, damage: str
) -> None:
    record(mongo, damaged(document_of(PROCESSING, pending_since_ms="long"), damage))
    neighbour = replace(in_state(a_job(), JobState.PROCESSING), fence=1, attempts=1)
    record(mongo, document_of(neighbour, pending_since_ms=7))

    assert list(mongo.jobs.processing()) == [neighbour]
    assert mongo.jobs.newest_claim_ms() == 7
    assert _rescuer(mongo).rescue() == 1

    found = mongo.jobs.get(neighbour.job_id)
    assert found is not None
    assert found.state is JobState.PENDING


def test_many_records_that_cannot_be_read_starve_no_other(mongo: StoreUnderTest) -> None:
    for _ in range(150):
        broken = document_of(replace(PENDING, job_id=new_job_id(), idempotency=None))
        record(mongo, {**broken, "publish_due_ms": 1, "waiting_ms": 1, "state": "resting"})
    job = a_job()
    record(mongo, document_of(job, publish_due_ms=2, waiting_ms=2))

    assert mongo.jobs.waiting(queued_before_ms=FOR_EVER_MS, at_most=5) == [job]
    taken = [mongo.jobs.take_unpublished(lease_s=5) for _ in range(3)]

    assert [found for found in taken if found is not None] == [job]


@every_damage
def test_a_claim_of_what_cannot_be_read_is_undone_and_costs_no_attempt(
    mongo: StoreUnderTest, damage: str
) -> None:
    before = damaged(document_of(PENDING, waiting_ms=1), damage)
    record(mongo, before)
    claim = {"fence": PENDING.fence + 1, "owner": OWNER}

    try:
        assert mongo.jobs.claim(PENDING.job_id, fence=PENDING.fence, owner=OWNER) is None
    except UnreadableRecordError:
        mongo.jobs.put_back(PENDING.job_id, fence=PENDING.fence + 1, owner=OWNER)
    mongo.jobs.put_back(PENDING.job_id, **claim)  # type: ignore[arg-type]  # once more does nothing

    after = recorded(mongo, PENDING.job_id)
    changing = {"fence", "waiting_ms", "publish_due_ms", "pending_since_ms", "started_at"}
    assert _rest(after, changing) == _rest(before, changing)
    assert ("publish_due_ms" in after) != ("waiting_ms" in after)


def _rest(document: Document, names: set[str]) -> Document:
    return {name: value for name, value in document.items() if name not in names}


def test_a_claim_that_others_have_made_since_is_not_undone(mongo: StoreUnderTest) -> None:
    job = a_job()
    mongo.jobs.add(job, b"pixels")
    claimed = mongo.jobs.claim(job.job_id, fence=0, owner=OwnerId("another"))

    mongo.jobs.put_back(job.job_id, fence=1, owner=OWNER)
    mongo.jobs.put_back(job.job_id, fence=0, owner=OwnerId("another"))

    assert mongo.jobs.get(job.job_id) == claimed


@every_damage
def test_what_cannot_be_read_expires_all_the_same(mongo: StoreUnderTest, damage: str) -> None:
    record(mongo, damaged(document_of(PENDING, finished_ms=1), damage))
    mongo.store_image(PENDING.job_id)

    assert mongo.jobs.expire(retention_s=60) == 1

    assert recorded(mongo, PENDING.job_id) is None
    assert mongo.database["images"].find_one({"_id": PENDING.job_id}) is None


@pytest.mark.parametrize("image", [{}, {"bytes": "text"}, {"bytes": 3}, {"chunks": [b"pixels"]}])
def test_an_image_without_bytes_is_neither_gone_nor_an_image(
    mongo: StoreUnderTest, image: Document
) -> None:
    mongo.database["images"].insert_one({"_id": PENDING.job_id, "stored_ms": 1, **image})

    with pytest.raises(UnreadableRecordError):
        mongo.jobs.image(PENDING.job_id)


def test_an_image_with_further_members_is_read(mongo: StoreUnderTest) -> None:
    image = {"_id": PENDING.job_id, "bytes": b"pixels", LATER: {"a": 1}, "stored_ms": 1}
    mongo.database["images"].insert_one(image)

    assert mongo.jobs.image(PENDING.job_id) == b"pixels"


def test_images_of_jobs_that_cannot_be_read_are_no_orphans(mongo: StoreUnderTest) -> None:
    kept, orphan = PENDING.job_id, new_job_id()
    record(mongo, damaged(document_of(PENDING), "nothing of a job"))
    mongo.store_image(kept)
    mongo.store_image(orphan)
    mongo.database["images"].insert_one({"_id": 7, "stored_ms": "long ago"})

    assert mongo.images.delete_orphans(from_ms=0, until_ms=FOR_EVER_MS).deleted == 1

    left = {image["_id"] for image in mongo.database["images"].find({}, {"_id": True})}
    assert left == {kept, 7}


WORKER: Final = a_worker(OWNER, a_model("digits"), a_model("resnet18"))


def worker_document(mongo: StoreUnderTest, **members: Any) -> Document:
    mongo.registry.beat(WORKER)
    document: Document = mongo.database["workers"].find_one({"_id": OWNER})
    return {**document, **members}


def replace_worker(mongo: StoreUnderTest, document: Document) -> None:
    mongo.database["workers"].delete_many({"_id": document["_id"]})
    mongo.database["workers"].insert_one(document)


@pytest.mark.parametrize("place", [(), ("models", 0), ("models", 1)], ids=str)
def test_a_worker_of_a_later_version_is_read_at_every_depth(
    mongo: StoreUnderTest, place: Path
) -> None:
    replace_worker(mongo, with_later_members(worker_document(mongo), place))

    assert mongo.registry.living() == (WORKER,)


@pytest.mark.parametrize(
    "model",
    [{"name": "new", "state": "warming"}, {"name": "new"}, {}, "new", None, {"name": 1}],
    ids=str,
)
def test_a_model_that_cannot_be_read_hides_no_other(mongo: StoreUnderTest, model: Any) -> None:
    document = worker_document(mongo)
    replace_worker(mongo, {**document, "models": [model, *document["models"]]})

    assert mongo.registry.living() == (WORKER,)


@pytest.mark.parametrize(
    "members",
    [
        {"models": "many"},
        {"models": None},
        {"pid": "one"},
        {"host": 7},
        {"trouble": 7},
        {"lacks": 7},
        {"lacks": [1, [], "later"]},
    ],
    ids=str,
)
def test_a_worker_that_can_hardly_be_read_lives_and_keeps_its_jobs(
    mongo: StoreUnderTest, members: Document
) -> None:
    replace_worker(mongo, worker_document(mongo, **members))
    record(mongo, document_of(PROCESSING))
    other = OwnerId("other")
    mongo.registry.beat(a_worker(other))

    assert {worker.worker_id for worker in mongo.registry.living()} == {OWNER, other}
    assert _rescuer(mongo).rescue() == 0


def test_a_worker_of_an_earlier_version_does_not_say_whether_it_consumes(
    mongo: StoreUnderTest,
) -> None:
    document = worker_document(mongo)
    del document["trouble"]
    replace_worker(mongo, document)

    assert mongo.registry.living() == (WORKER,)


@pytest.mark.parametrize(
    "members", [{LATER: 1}, {"trouble": 7}, {"noted_ms": "now"}, {"noted_ms": None}], ids=str
)
def test_evidence_of_a_later_version_is_read_or_passed_over(
    mongo: StoreUnderTest, members: Document
) -> None:
    mongo.evidence.note("a right is missing")
    mongo.database["evidence"].update_one({}, {"$set": members})

    assert mongo.evidence.latest() == ("a right is missing" if LATER in members else None)


def test_a_document_that_is_no_worker_at_all_is_passed_over(mongo: StoreUnderTest) -> None:
    mongo.registry.beat(WORKER)
    mongo.database["workers"].insert_one({"_id": 7, "heartbeat_ms": FOR_EVER_MS})

    assert mongo.registry.living() == (WORKER,)


def test_a_heartbeat_keeps_the_members_of_a_later_version(mongo: StoreUnderTest) -> None:
    replace_worker(mongo, with_later_members(worker_document(mongo), ()))

    mongo.registry.beat(a_worker(OWNER, a_model("digits", ModelState.LOADING)))

    assert LATER in mongo.database["workers"].find_one({"_id": OWNER})


def _rescuer(mongo: StoreUnderTest) -> Rescuer:
    return Rescuer(
        outbox=mongo.jobs,
        registry=mongo.registry,
        now_ms=lambda: int(time.time() * 1000),
        max_attempts=3,
        overdue_s=10.0**10,
        confirm_s=0,
    )


def test_ids_of_any_kind_keep_nobody_from_the_others(mongo: StoreUnderTest) -> None:
    record(mongo, {"_id": 7, "state": "processing", "finished_ms": 1, "waiting_ms": 1})
    record(mongo, {"_id": 8, "publish_due_ms": 1})
    job = JobId("e" * 32)
    record(mongo, document_of(a_job(job), waiting_ms=1))

    assert list(mongo.jobs.processing()) == []
    assert mongo.jobs.take_unpublished(lease_s=5) is None
    assert [each.job_id for each in mongo.jobs.waiting(queued_before_ms=9, at_most=9)] == [job]
    assert mongo.jobs.expire(retention_s=60) == 1


@pytest.mark.parametrize(
    "encoded",
    [
        encode({"created_at": DatetimeMS(2**60)}),
        encode({"created_at": DatetimeMS(-(2**60))}),
        encode({"model": "xx"}).replace(b"xx", b"\xff\xfe"),
    ],
    ids=["a late date", "an early date", "no UTF-8"],
)
def test_a_value_that_python_cannot_hold_spoils_no_answer(
    standalone_mongo_url: str, encoded: bytes
) -> None:
    with connect(standalone_mongo_url, timeout_s=60) as client:
        document = decode(encoded, open_database(client, "any").codec_options)

    with pytest.raises(UnreadableRecordError):
        Reader("job", from_document).one({"_id": 1, **document})
