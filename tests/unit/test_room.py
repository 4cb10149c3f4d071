"""Images are refused early enough that accepted jobs still have room."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
from werkzeug.test import TestResponse

from api.jobs.room import Room
from common.errors import StoreFullError, StoreRefusedError
from common.jobs import Job
from common.ports.usage import StoreUsage
from tests.examples import a_job, an_image
from tests.fakes import FixedUsage, InMemoryStore
from tests.service import Api

MIB: Final = 1024**2
BOUND: Final = 100_000

Free = dict[str, int]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Free:
    """Fake the space that is left on the disk of each folder."""
    disks: Free = {}
    monkeypatch.setattr(
        "shutil.disk_usage", lambda folder: SimpleNamespace(free=disks[Path(folder).name])
    )
    return disks


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def watching(*folders: str, usage: StoreUsage | None = None) -> Room:
    return Room(FixedUsage(usage), folders=tuple(map(Path, folders)), min_free_bytes=100 * MIB)


def bounded(usage: FixedUsage) -> Room:
    return Room(usage, max_stored_bytes=BOUND)


def taking(used_bytes: int) -> FixedUsage:
    return FixedUsage(StoreUsage(used_bytes=used_bytes))


def assert_full(response: TestResponse) -> None:
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.get_json(force=True)["type"] == "urn:darkroom:problem:storage-full"
    assert int(response.headers["Retry-After"]) > 0


def test_with_space_on_each_disk_images_are_taken(free: Free) -> None:
    free |= {"store": 100 * MIB + 2, "rabbitmq": 100 * MIB + 2}

    assert watching("store", "rabbitmq").shortage(1) == ""


def test_the_disk_that_is_short_of_space_is_named(free: Free) -> None:
    free |= {"store": 100 * MIB, "rabbitmq": 100 * MIB - 1}

    assert watching("store", "rabbitmq").shortage() == (
        "the disk of rabbitmq has less than 100 MiB left"
    )


def test_an_image_must_fit_beside_what_is_to_be_left(free: Free) -> None:
    free["store"] = 110 * MIB
    room = watching("store")

    assert room.shortage(7 * MIB) == ""
    assert room.shortage(8 * MIB)  # it is larger in base64


def test_what_expired_inside_the_store_s_files_counts_as_space(free: Free) -> None:
    free["store"] = 60 * MIB

    enough = watching("store", usage=StoreUsage(used_bytes=0, reusable_bytes=40 * MIB))
    too_little = watching("store", usage=StoreUsage(used_bytes=0, reusable_bytes=39 * MIB))

    assert enough.shortage() == ""
    assert too_little.shortage()


def test_half_of_the_space_must_be_there_for_all_others(free: Free) -> None:
    free["store"] = 49 * MIB

    assert watching("store", usage=StoreUsage(used_bytes=0, reusable_bytes=900 * MIB)).shortage()


@pytest.mark.parametrize(
    ("left", "is_short"), [(100 * MIB, False), (99 * MIB, True), (None, False)]
)
def test_without_a_folder_the_store_says_what_its_disk_has_left(
    left: int | None, is_short: bool
) -> None:
    room = watching(usage=StoreUsage(used_bytes=0, free_bytes=left))

    assert bool(room.shortage()) is is_short


def test_a_limit_of_0_never_refuses(free: Free) -> None:
    free["store"] = 0

    assert Room(taking(10**15), folders=[Path("store")]).shortage(10**9) == ""


def test_an_image_that_goes_over_the_bound_is_refused_and_one_that_just_fits_is_not() -> None:
    room = bounded(taking(BOUND - 4_000))

    assert room.shortage(3_000) == ""
    assert room.shortage(3_001) == (
        f"stored images and records take {BOUND - 4_000} bytes, of at most {BOUND}"
    )


def test_what_was_stored_since_the_last_count_is_added(
    pass_time: Callable[[float], None],
) -> None:
    usage = taking(0)
    room = bounded(usage)
    room.shortage()

    for _ in range(10):
        room.note_stored(3_000)

    assert room.shortage(3_000) == ""
    assert usage.measured == 1  # far from the limit, the store is not asked again
    pass_time(2)
    room.shortage(3_000)
    assert usage.measured == 2


def test_near_the_bound_the_store_is_asked_for_each_image() -> None:
    usage = taking(BOUND // 2 + 1)
    room = bounded(usage)
    room.shortage(3)
    usage.usage = StoreUsage(used_bytes=BOUND)  # another process was quicker

    assert room.shortage(3)


def test_when_jobs_have_expired_images_are_taken_again() -> None:
    usage = taking(BOUND)
    room = bounded(usage)
    assert room.shortage(3)

    usage.usage = StoreUsage(used_bytes=BOUND - 4, reusable_bytes=4)

    assert room.shortage(3) == ""


def test_a_store_that_gives_no_counts_does_not_keep_images_out() -> None:
    usage = FixedUsage()
    usage.error = StoreRefusedError("not allowed")

    assert bounded(usage).shortage(3) == ""


def test_without_room_a_submission_is_refused_and_nothing_recorded() -> None:
    api = Api(max_stored_bytes=BOUND)
    api.usage.usage = StoreUsage(used_bytes=BOUND)

    response = api.submit_form(an_image())

    assert_full(response)
    assert api.store.jobs == {}
    assert api.publisher.published == []


def test_without_room_a_repeated_submission_still_gets_its_job() -> None:
    api = Api(max_stored_bytes=BOUND)
    key = {"Idempotency-Key": '"k1"'}
    first = api.client.post("/jobs", data=an_image(), content_type="image/png", headers=key)
    api.usage.usage = StoreUsage(used_bytes=BOUND)

    again = api.client.post("/jobs", data=an_image(), content_type="image/png", headers=key)

    assert again.status_code == HTTPStatus.ACCEPTED
    assert again.get_json()["id"] == first.get_json()["id"]


def test_without_room_jobs_can_be_asked_for_and_deleted() -> None:
    api = Api(max_stored_bytes=BOUND)
    job_id = api.submit_form(an_image()).get_json()["id"]
    api.usage.usage = StoreUsage(used_bytes=BOUND)

    assert api.client.get(f"/jobs/{job_id}").status_code == HTTPStatus.OK
    assert api.client.delete(f"/jobs/{job_id}").status_code == HTTPStatus.OK


def test_without_room_the_service_is_not_ready() -> None:
    api = Api(max_stored_bytes=BOUND)
    api.usage.usage = StoreUsage(used_bytes=BOUND + 1)

    response = api.client.get("/readyz")

    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "of at most" in response.get_json(force=True)["checks"]["storage"]


class FullStore(InMemoryStore):
    """Has no space to write to."""

    def add(self, job: Job, image: bytes) -> None:
        raise StoreFullError("database or disk is full")

    def save(self, job: Job, *, previous: Job) -> None:
        raise StoreFullError("database or disk is full")


def test_a_store_that_turns_out_to_be_full_gives_the_same_problem() -> None:
    assert_full(Api(FullStore()).submit_form(an_image()))


def test_what_a_full_store_cannot_take_back_gives_the_same_problem() -> None:
    job = a_job()

    assert_full(Api(FullStore(job)).client.delete(f"/jobs/{job.job_id}"))
