"""What every store does about images without a job, whatever it is made of."""

from common.jobs import new_job_id
from tests.contract.conftest import StoreUnderTest
from tests.examples import a_job


def test_an_image_without_a_job_is_deleted(store: StoreUnderTest) -> None:
    job_id = new_job_id()
    store.store_image(job_id)

    sweep = store.images.delete_orphans(from_ms=0, until_ms=store.now_ms() + 1)

    assert (sweep.deleted, sweep.next_ms) == (1, store.now_ms() + 1)
    assert store.jobs.image(job_id) is None


def test_the_image_of_a_job_stays(store: StoreUnderTest) -> None:
    job = a_job()
    store.jobs.add(job, b"pixels")

    assert store.images.delete_orphans(from_ms=0, until_ms=store.now_ms() + 1).deleted == 0

    assert store.jobs.image(job.job_id) == b"pixels"


def test_an_image_that_was_stored_before_or_after_is_left_alone(store: StoreUnderTest) -> None:
    old, new = new_job_id(), new_job_id()
    store.store_image(old)
    from_ms = store.now_ms() + 1
    store.pass_time(10)
    until_ms = store.now_ms()
    store.store_image(new)

    assert store.images.delete_orphans(from_ms=from_ms, until_ms=until_ms).deleted == 0

    assert store.jobs.image(old) is not None
    assert store.jobs.image(new) is not None


def test_many_images_are_swept_one_part_after_the_other(store: StoreUnderTest) -> None:
    jobs = [a_job() for _ in range(120)]
    orphans = [new_job_id() for _ in range(5)]
    for number, job in enumerate(jobs):
        store.jobs.add(job, b"pixels")
        if number % 25 == 0:
            store.store_image(orphans[number // 25])
        if number % 3 == 0:
            store.pass_time(0.001)
    until_ms, next_ms, deleted = store.now_ms() + 1, 0, 0

    while next_ms < until_ms:
        sweep = store.images.delete_orphans(from_ms=next_ms, until_ms=until_ms)
        assert sweep.next_ms > next_ms
        next_ms, deleted = sweep.next_ms, deleted + sweep.deleted

    assert deleted == 5
    assert all(store.jobs.image(job.job_id) is not None for job in jobs)
    assert not any(store.jobs.image(orphan) for orphan in orphans)
