"""A drill with consumers behind a network that silently drops all packets for a while."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pymongo.database import Database

from standalone.programs import HOST
from testbed.echo import Order
from testbed.namespaces import Namespace, Network, NoNamespacesError, carried, network
from testbed.processes import engines_of
from testbed.server import Server
from testbed.system import System
from testbed.waiting import wait_for
from tests.drills.drill import CannotHereError, Drill, Run

_DROP_S: Final = 60.0
_SHORT_DROP_S: Final = 20.0
_LONG_JOBS: Final = 12
_WAIT_S: Final = 1.5
_BACK_WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Far:
    """A consumer in its own network, and the servers that it reaches only through the router."""

    consumer: Server
    beyond_store: bool

    @property
    def name(self) -> str:
        return self.consumer.program.name


def _cut_off(run: Run) -> None:
    """Drop packets between consumers and RabbitMQ, the store, or both; then forward them again."""
    drop_s = _SHORT_DROP_S if run.short else _DROP_S
    with ExitStack() as opened:
        cable = opened.enter_context(_cable())
        far = opened.enter_context(_far_consumers(run.system, cable))
        database = opened.enter_context(run.system.database())
        run.system.wait_until_all_consume()
        opened.enter_context(run.clients.load(clients=2, pause_s=0.3, order=Order.WAIT))
        _wait_until_all_hold_a_job(run, database, far)
        cable.drop()
        time.sleep(drop_s)
        cable.pass_()
        passed_ns = time.time_ns()
        back_s = {one.name: _back_after_s(database, one.consumer, passed_ns) for one in far}
        owners = {one.consumer.pid: one for one in far}
    run.notes["dropped, s"] = drop_s
    run.notes["worked again after, s"] = back_s
    run.notes["attempts lost"] = _setbacks(run, owners)


@contextmanager
def _cable() -> Iterator[Network]:
    with ExitStack() as opened:
        try:
            cable = opened.enter_context(network())
        except NoNamespacesError as exc:
            raise CannotHereError(f"no network namespaces: {exc}") from exc
        yield cable


@contextmanager
def _far_consumers(system: System, cable: Network) -> Iterator[list[_Far]]:
    """Run three consumers in *cable.b*: cut off from RabbitMQ, from the store, from both.

    What is not behind the router they reach inside their own network.
    """
    with ExitStack() as opened:

        def url(direct: str, port: int, place: Namespace) -> str:
            carrying = opened.enter_context(carried(port, listen_in=place))
            return direct.replace(f"{HOST}:{port}", f"{place.address}:{carrying}")

        def consumer(name: str, broker_in: Namespace, store_in: Namespace) -> _Far:
            settings = {
                "DARKROOM_AMQP_URL": url(system.broker_url, system.node.amqp_port, broker_in),
                "DARKROOM_MONGO_URL": url(system.store.url, system.store_port, store_in),
            }
            added = system.another_consumer(name, settings=settings, inside=cable.b)
            added.launch()
            opened.callback(added.kill)
            return _Far(added, store_in is cable.a)

        near, far = cable.b, cable.a
        consumers = [
            consumer("without-broker", far, near),
            consumer("without-store", near, far),
            consumer("without-both", far, far),
        ]
        yield consumers
        for one in consumers:
            status = one.consumer.stop()
            assert status == 0, f"{one.name} ended with status {status}"


def _wait_until_all_hold_a_job(
    run: Run, database: Database[dict[str, Any]], far: list[_Far]
) -> None:
    """Submit long jobs until each consumer in *far* has one."""
    wanted = {one.consumer for one in far}

    def all_hold() -> bool:
        jobs = run.clients.submit_many(_LONG_JOBS, Order.WAIT, round(_WAIT_S * 100))
        while not all(map(run.witness.has_ended, jobs)):
            held = database["jobs"].find({"_id": {"$in": jobs}, "state": "processing"})
            if wanted <= {run.system.owner_of(job) for job in held}:
                return True
        return False

    wait_for(all_hold, within_s=_BACK_WITHIN_S, what="every consumer is busy")


def _back_after_s(database: Database[dict[str, Any]], consumer: Server, passed_ns: int) -> float:
    """Wait until the engine of *consumer* has answered again; return the time in seconds."""
    engines: set[str] = set()
    answered: list[int] = []

    def has_answered() -> bool:
        engines.update(map(str, engines_of(consumer.pid)))
        recent = {"state": "done", "finished_ms": {"$gte": passed_ns // 10**6}}
        for job in database["jobs"].find(recent):
            _, engine, _, at_ns = job["result"]["predictions"][1]["label"].split()
            if engine in engines and int(at_ns) > passed_ns:
                answered.append(int(at_ns))
        return bool(answered)

    wait_for(has_answered, within_s=_BACK_WITHIN_S, what=f"{consumer.program.name} works again")
    return round((min(answered) - passed_ns) / 10**9, 1)


def _setbacks(run: Run, owners: dict[int, _Far]) -> dict[str, int]:
    """Count the lost attempts of each consumer; only one without a store may lose any."""
    lost = {one.name: 0 for one in owners.values()}
    with run.system.database() as database:
        setbacks = [
            setback
            for job in database["jobs"].find({"setbacks": {"$exists": True}})
            for setback in job["setbacks"]
        ]
    for setback in setbacks:
        loser = owners.get(int(setback["owner"].split("-")[-2]))
        run.expect(
            loser is not None and loser.beyond_store,
            f"an attempt was lost that had its store: {setback}",
        )
        if loser is not None:
            lost[loser.name] += 1
    return lost


DRILLS = (
    Drill(
        name="partition",
        harm="consumers cut off for a minute (20 s with --short) from RabbitMQ, from the store "
        "and from both, by a network that drops every packet",
        do=_cut_off,
        # A consumer without the store may hold a delivery that it cannot claim.
        loses_messages=True,
    ),
)
