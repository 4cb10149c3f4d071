"""Which images the courier checks, and when."""

from common.jobs import new_job_id
from common.ports.images import Sweep
from courier.duties.orphans import OrphanedImages
from tests.examples import a_job
from tests.fakes import InMemoryStore

MINUTE_S = 60
HOUR_S = 3600


def sweeping(store: InMemoryStore) -> OrphanedImages:
    return OrphanedImages(images=store, now_ms=lambda: int(store.now_s * 1000))


def a_store() -> InMemoryStore:
    store = InMemoryStore()
    store.now_s = 1_700_000_000.0
    return store


def test_an_image_without_a_job_is_deleted_once_no_request_can_still_record_one() -> None:
    store = a_store()
    orphans = sweeping(store)
    job_id = new_job_id()
    store.store_image(job_id, b"pixels")

    store.now_s += 9 * MINUTE_S
    assert orphans.delete() == 0
    assert job_id in store.images

    store.now_s += 2 * MINUTE_S
    assert orphans.delete() == 1
    assert job_id not in store.images


def test_the_image_of_a_job_is_never_deleted() -> None:
    store = a_store()
    orphans = sweeping(store)
    job = a_job()
    store.add(job, b"pixels")

    for _ in range(100):
        store.now_s += MINUTE_S
        assert orphans.delete() == 0

    assert store.images[job.job_id] == b"pixels"


def test_what_was_left_in_the_hour_before_the_start_is_found() -> None:
    store = a_store()
    store.store_image(new_job_id(), b"pixels")
    store.now_s += HOUR_S - MINUTE_S

    assert sweeping(store).delete() == 1


def test_what_was_left_long_before_the_start_is_not_looked_for() -> None:
    store = a_store()
    store.store_image(new_job_id(), b"pixels")
    store.now_s += HOUR_S + MINUTE_S

    assert sweeping(store).delete() == 0


def test_an_idle_store_is_asked_once_in_ten_seconds() -> None:
    asked: list[int] = []

    class Counting(InMemoryStore):
        def delete_orphans(self, *, from_ms: int, until_ms: int) -> Sweep:
            asked.append(until_ms - from_ms)
            return super().delete_orphans(from_ms=from_ms, until_ms=until_ms)

    store = Counting()
    store.now_s = 1_700_000_000.0
    orphans = sweeping(store)
    orphans.delete()
    asked.clear()

    for _ in range(60):
        store.now_s += 1
        orphans.delete()

    assert asked == [10_000] * 6
