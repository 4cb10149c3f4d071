"""What goes to and from the servers for a job: counted by proxies, not under a clock."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.plan import Configuration, Plan
from benchmarks.proxy import counting
from benchmarks.saturation import WARM_UP_JOBS, saturate
from benchmarks.system import System, running_broker, settings_for

_JOBS: Final = 60
# By the setting that says where the server is.
_SERVERS: Final = {"MongoDB": "DARKROOM_MONGO_URL", "RabbitMQ": "DARKROOM_AMQP_URL"}


def bytes_a_job(plan: Plan, image: Path) -> dict[str, float]:
    """Count what goes to and from the servers, with a proxy before each."""
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
        saturate(system, Configuration(runtime="onnx"), plan, image, jobs=_JOBS)
        after = [(one.sent_bytes, one.received_bytes) for one in proxies]
    figures = {}
    for name, was, now in zip(_SERVERS, before, after, strict=True):
        for direction, first, last in zip(("to", "from"), was, now, strict=True):
            figures[f"{direction} {name}"] = (last - first) / (_JOBS + WARM_UP_JOBS)
    return figures | {"image": image.stat().st_size}
