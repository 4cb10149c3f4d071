"""What every store of the couriers' evidence about RabbitMQ does."""

from tests.contract.conftest import LEASE_S, StoreUnderTest


def test_nothing_is_known_before_a_courier_has_said_anything(store: StoreUnderTest) -> None:
    assert store.evidence.latest() is None


def test_what_was_noted_last_is_what_counts(store: StoreUnderTest) -> None:
    store.evidence.note("a right is missing")
    assert store.evidence.latest() == "a right is missing"

    store.evidence.note("")

    assert store.evidence.latest() == ""


def test_what_was_noted_counts_for_a_lease(store: StoreUnderTest) -> None:
    store.evidence.note("a right is missing")

    store.pass_time(LEASE_S - 1)
    assert store.evidence.latest() == "a right is missing"
    store.pass_time(2)
    assert store.evidence.latest() is None
