"""What goes to and from the servers for a job: counted by proxies, not under a clock."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.plan import Configuration, Plan
from benchmarks.proxy import Counts, counting
from benchmarks.saturation import WARM_UP_JOBS, saturate
from benchmarks.system import System, running_broker, settings_for

_JOBS: Final = 60


def bytes_a_job(plan: Plan, image: Path) -> dict[str, float]:
    """Count what goes to and from the servers, with a proxy before each."""
    with ExitStack() as stack:
        system, to_mongo, to_rabbitmq = stack.enter_context(_counted_system(plan))
        before = [(one.sent_bytes, one.received_bytes) for one in (to_mongo, to_rabbitmq)]
        saturate(system, Configuration(runtime="onnx"), plan, image, jobs=_JOBS)
        after = [(one.sent_bytes, one.received_bytes) for one in (to_mongo, to_rabbitmq)]
    jobs = _JOBS + WARM_UP_JOBS
    figures = {}
    for name, was, now in zip(("MongoDB", "RabbitMQ"), before, after, strict=True):
        figures[f"to {name}"] = (now[0] - was[0]) / jobs
        figures[f"from {name}"] = (now[1] - was[1]) / jobs
    return figures | {"image": image.stat().st_size}


@contextmanager
def _counted_system(plan: Plan) -> Iterator[tuple[System, Counts, Counts]]:
    folder = plan.folder / "counted"
    settings = settings_for(plan.model, plan.folder)
    with running_broker(folder / "rabbitmq") as broker, ExitStack() as stack:
        url, port = broker.empty_vhost(), broker.program.ports[0].number
        to_rabbitmq = stack.enter_context(counting(port))
        through = url.replace(f":{port}/", f":{to_rabbitmq.port}/")
        system = System(folder / "system", broker, settings, amqp_url=through)
        to_mongo = stack.enter_context(counting(system.store.port))
        system.reach_store_at(to_mongo.port)
        stack.enter_context(system.running_servers())
        yield system, to_mongo, to_rabbitmq
