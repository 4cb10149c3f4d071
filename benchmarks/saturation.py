"""One run of a service under load: its throughput, and the cost by role."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.load import Order, do
from benchmarks.load import saturate as keep_saturated
from benchmarks.plan import Configuration, Plan
from benchmarks.system import System, model_of, running_broker, settings_for
from testbed import usage
from testbed.counting import counting

LOAD: Final = "load generator"
SERVICE: Final = ("nginx", "api", "rabbitmq", "consumer", "courier")
ROLES: Final = (*SERVICE, "store", LOAD, usage.ENGINE)
_WARM_UP_JOBS: Final = 16
_COUNTED_JOBS: Final = 60
# By the setting that says where the server is.
_SERVERS: Final = {"MongoDB": "DARKROOM_MONGO_URL", "RabbitMQ": "DARKROOM_AMQP_URL"}


class Turn(NamedTuple):
    """One run of one configuration under load."""

    images_per_second: float
    posts_ms: Sequence[float]
    gets_ms: Sequence[float]
    gets_per_job: float
    cpu_ms: Mapping[str, float]  # by role, for one job
    cpu_share: float  # seconds a second of all that is not an engine
    at_the_end: Mapping[str, usage.Usage]  # by role

    @property
    def overhead_ms(self) -> float:
        """The service's cost per job, without engines and store."""
        return sum(self.cpu_ms.get(role, 0.0) for role in SERVICE)


def saturate(
    system: System, configuration: Configuration, plan: Plan, image: Path, *, jobs: int
) -> Turn:
    order = Order(
        work=keep_saturated,
        url=system.url,
        image=image,
        model=model_of(configuration, plan.model),
        clients=plan.clients,
        jobs=_WARM_UP_JOBS,
        in_flight=plan.in_flight,
    )
    with system.consuming(configuration):
        do(order)
        before = usage.by_role(system.pids)
        report = do(replace(order, jobs=jobs))
        after = usage.by_role(system.pids)
    if report.failed or report.refused:
        raise RuntimeError(f"{report.failed} jobs failed, {report.refused} were refused")
    done = len(report.finished_s)
    cpu_s = usage.cpu_between(before, after) | {LOAD: report.cpu_s}
    return Turn(
        report.images_per_second,
        report.posts_ms,
        report.gets_ms,
        len(report.gets_ms) / done,
        {role: seconds * 1000 / done for role, seconds in cpu_s.items()},
        (sum(cpu_s.values()) - cpu_s[usage.ENGINE]) / report.took_s,
        after,
    )


def bytes_per_job(plan: Plan, image: Path) -> dict[str, float]:
    """Count the bytes to and from the servers, with a proxy before each; nothing is timed."""
    folder = plan.folder / "counted"
    with running_broker(folder / "rabbitmq") as broker, ExitStack() as stack:
        system = System(folder / "system", broker, settings_for(plan.model, plan.folder))
        ports = (system.store.port, broker.program.ports[0].number)
        proxies = [stack.enter_context(counting(port)) for port in ports]
        for setting, port, proxy in zip(_SERVERS.values(), ports, proxies, strict=True):
            direct = system.environment[setting]
            system.environment[setting] = direct.replace(f":{port}", f":{proxy.port}")
        stack.enter_context(system.running_servers())
        before = [(one.sent_bytes, one.received_bytes) for one in proxies]
        saturate(system, Configuration(runtime="onnx"), plan, image, jobs=_COUNTED_JOBS)
        after = [(one.sent_bytes, one.received_bytes) for one in proxies]
    figures = {}
    for name, was, now in zip(_SERVERS, before, after, strict=True):
        for direction, first, last in zip(("to", "from"), was, now, strict=True):
            figures[f"{direction} {name}"] = (last - first) / (_COUNTED_JOBS + _WARM_UP_JOBS)
    return figures | {"image": image.stat().st_size}
