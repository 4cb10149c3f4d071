"""What every registry of workers does, whatever it is made of."""

from dataclasses import replace

from common.jobs import OwnerId
from common.workers import ModelState
from tests.contract.conftest import LEASE_S, StoreUnderTest
from tests.examples import OWNER, a_model, a_worker


def test_a_worker_that_beats_lives_with_all_that_it_told(store: StoreUnderTest) -> None:
    worker = a_worker(
        OWNER,
        a_model("digits", labels=10, description="Handwritten digits"),
        a_model("resnet18", ModelState.UNAVAILABLE, reason="its weights cannot be had"),
    )

    store.registry.beat(worker)

    assert store.registry.living() == (worker,)


def test_a_worker_may_lack_what_decodes_a_format(store: StoreUnderTest) -> None:
    worker = replace(a_worker(), lacks=("HEIF",))

    store.registry.beat(worker)

    assert store.registry.living() == (worker,)


def test_a_worker_that_falls_silent_is_dead_after_its_lease(store: StoreUnderTest) -> None:
    store.registry.beat(a_worker())

    store.pass_time(LEASE_S - 1)
    assert store.registry.living() == (a_worker(),)
    store.pass_time(2)
    assert store.registry.living() == ()


def test_a_heartbeat_renews_the_lease_and_what_was_told(store: StoreUnderTest) -> None:
    store.registry.beat(a_worker(OWNER, a_model("digits", ModelState.LOADING)))
    store.pass_time(LEASE_S - 1)

    store.registry.beat(a_worker())

    store.pass_time(LEASE_S - 1)
    assert store.registry.living() == (a_worker(),)


def test_a_worker_tells_why_it_does_not_consume(store: StoreUnderTest) -> None:
    worker = replace(a_worker(), trouble="a right is missing")

    store.registry.beat(worker)

    assert store.registry.living() == (worker,)


def test_a_worker_that_says_goodbye_is_gone(store: StoreUnderTest) -> None:
    other = a_worker(OwnerId("other"))
    store.registry.beat(a_worker())
    store.registry.beat(other)

    store.registry.forget(OWNER)

    assert store.registry.living() == (other,)
