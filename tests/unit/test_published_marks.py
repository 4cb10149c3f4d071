"""What was published is recorded a little later, several jobs at a time."""

from contextlib import closing

from api.jobs.published_marks import PublishedMarks
from common.jobs import Job, JobId
from testbed.waiting import wait_for
from tests.examples import a_job
from tests.fakes import InMemoryStore


class CountingStore(InMemoryStore):
    """Records how many jobs each write was for."""

    def __init__(self, *jobs: Job) -> None:
        super().__init__(*jobs)
        self.writes: list[int] = []

    def mark_published(self, *jobs: Job) -> None:
        self.writes.append(len(jobs))
        super().mark_published(*jobs)


def some_jobs(count: int) -> list[Job]:
    return [a_job(JobId(f"job-{number}")) for number in range(count)]


def test_jobs_that_come_together_are_noted_in_one_write() -> None:
    jobs = some_jobs(5)
    store = CountingStore(*jobs)

    with closing(PublishedMarks(store)) as marks:
        for job in jobs:
            marks.note(job)
        wait_for(lambda: all(job.published_at for job in store.jobs.values()))

    assert len(store.writes) < len(jobs)


def test_what_is_left_at_the_end_is_noted() -> None:
    jobs = some_jobs(3)
    store = CountingStore(*jobs)

    marks = PublishedMarks(store)
    for job in jobs:
        marks.note(job)
    marks.close()

    assert all(job.published_at for job in store.jobs.values())


def test_an_outage_of_the_store_ends_nothing() -> None:
    first, second = some_jobs(2)
    store = CountingStore(first, second)
    store.is_down = True

    with closing(PublishedMarks(store)) as marks:
        marks.note(first)
        wait_for(lambda: store.writes)
        store.is_down = False
        marks.note(second)
        wait_for(lambda: store.jobs[second.job_id].published_at)

    assert store.jobs[first.job_id].published_at is None
