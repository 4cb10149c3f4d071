"""One service under load, once: what it got done, and what each role took for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks import roles
from benchmarks.clients import Order, Report
from benchmarks.clients import saturate as keep_saturated
from benchmarks.load import do
from benchmarks.plan import Configuration, Plan
from benchmarks.system import System, model_of

LOAD: Final = "load generator"
SERVICE: Final = ("nginx", "api", "rabbitmq", "consumer", "courier")
ROLES: Final = (*SERVICE, "store", LOAD, roles.ENGINE)
WARM_UP_JOBS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One configuration under load, once.

    Args:
        posts_ms: How long submissions took.
        gets_ms: How long questions took.
        cpu_ms: By role, for one job.
        cpu_share: Seconds a second of all that is not an engine.
        at_the_end: What the roles held by then, by role.
    """

    images_a_second: float
    posts_ms: Sequence[float]
    gets_ms: Sequence[float]
    gets_a_job: float
    cpu_ms: Mapping[str, float]
    cpu_share: float
    at_the_end: Mapping[str, roles.Usage]

    @property
    def overhead_ms(self) -> float:
        """What the service takes for a job, beside its engines and its store."""
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
        jobs=WARM_UP_JOBS,
        in_flight=plan.in_flight,
    )
    with system.consuming(configuration):
        do(order)
        before = roles.usage(system.pids)
        report = do(replace(order, jobs=jobs))
        after = roles.usage(system.pids)
    return _turn(report, roles.cpu_between(before, after) | {LOAD: report.cpu_s}, after)


def _turn(report: Report, cpu_s: Mapping[str, float], after: Mapping[str, roles.Usage]) -> Turn:
    jobs = len(report.finished_s)
    if report.failed or report.refused:
        raise RuntimeError(f"{report.failed} jobs failed, {report.refused} were refused")
    return Turn(
        images_a_second=report.images_a_second,
        posts_ms=report.posts_ms,
        gets_ms=report.gets_ms,
        gets_a_job=len(report.gets_ms) / jobs,
        cpu_ms={role: seconds * 1000 / jobs for role, seconds in cpu_s.items()},
        cpu_share=(sum(cpu_s.values()) - cpu_s[roles.ENGINE]) / report.took_s,
        at_the_end=after,
    )
