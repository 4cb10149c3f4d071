"""A consumer records that it is alive, and removes its record when it stops."""

from common.errors import StoreRefusedError
from common.workers import ModelState, WorkerRecord
from consumer.heartbeat import Heartbeat
from testbed.waiting import wait_for
from tests.examples import OWNER, a_model, a_worker
from tests.fakes import InMemoryRegistry


def test_a_consumer_lives_in_the_registry_until_it_says_goodbye() -> None:
    registry = InMemoryRegistry()

    with Heartbeat(registry, a_worker, lease_s=60).beating():
        wait_for(lambda: registry.living() == (a_worker(),))

    assert registry.living() == ()


def test_what_changes_is_told_at_once() -> None:
    registry = InMemoryRegistry()
    told = [a_worker(OWNER, a_model("digits", ModelState.LOADING))]

    with Heartbeat(registry, lambda: told[-1], lease_s=3600).beating() as heartbeat:
        wait_for(lambda: len(registry.living()) == 1)
        told.append(a_worker())
        heartbeat.beat_now()
        wait_for(lambda: registry.living() == (a_worker(),))


def test_a_beat_that_failed_is_repeated_long_before_the_next_is_due() -> None:
    registry = InMemoryRegistry()
    registry.is_down = True
    tries: list[WorkerRecord] = []

    def describe() -> WorkerRecord:
        tries.append(a_worker())
        return tries[-1]

    with Heartbeat(registry, describe, lease_s=3600).beating():
        wait_for(lambda: len(tries) > 1)
        registry.is_down = False
        wait_for(lambda: registry.living() == (a_worker(),))


class PickyRegistry(InMemoryRegistry):
    """Refuses workers that describe their models, like a store that cannot encode the text."""

    def beat(self, worker: WorkerRecord) -> None:
        if any(model.description for model in worker.models):
            raise StoreRefusedError("MongoDB: InvalidStringData")
        super().beat(worker)


def test_a_consumer_whose_models_the_store_refuses_to_describe_is_alive_all_the_same() -> None:
    registry = PickyRegistry()
    described = a_worker(OWNER, a_model("digits", description="odd"))

    with Heartbeat(registry, lambda: described, lease_s=60).beating():
        wait_for(lambda: len(registry.living()) == 1)

        [worker] = registry.living()
        assert [(one.name, one.state) for one in worker.models] == [("digits", ModelState.READY)]


def test_a_beat_that_fails_for_a_reason_of_its_own_is_not_the_last() -> None:
    registry = InMemoryRegistry()
    errors = [KeyError(64), RecursionError()]

    def describe() -> WorkerRecord:
        if errors:
            raise errors.pop()
        return a_worker()

    with Heartbeat(registry, describe, lease_s=3600).beating():
        wait_for(lambda: registry.living() == (a_worker(),))
