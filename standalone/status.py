"""The status of a running system, for people and for programs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from standalone.addresses import Addresses
from standalone.facts import Facts
from standalone.supervision import Process

# The status when nothing runs; start.sh prints the same before the first start.
NOTHING_RUNS: Final[Mapping[str, Any]] = {"running": False, "ready": False, "roles": {}}

_READY: Final = "ready"
# An image to try with each model that ships.
_SAMPLES: Final[Mapping[str, str]] = {
    "photos": "models/photos/samples/coffee.jpg",
    "digits": "models/digits/samples/7.png",
}


def greeting(addresses: Addresses, facts: Facts) -> str:
    """Describe what is served, and how to use it."""
    url = addresses.url
    lines = [
        "",
        f"Darkroom is ready: {url}/",
        "",
        *_model_lines(facts.models),
        "",
        "Submit an image, then get its labels with the id from the answer:",
        f"  curl -F image=@{_image(facts.models)} {url}/jobs",
        f"  curl {url}/jobs/ID",
        "",
        *_management_lines(addresses.management),
        "More: ./start.sh status, ./start.sh logs -f, ./start.sh stop",
    ]
    return "\n".join(lines)


def _model_lines(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Describe for each model what serves it, or why it is unavailable."""
    return [f"  {model['name']:<20} {_model_state(model)}" for model in models]


def _model_state(model: Mapping[str, Any]) -> str:
    if model["state"] != _READY:
        return ": ".join(filter(None, (f"not served, {model['state']}", model.get("reason"))))
    labels = f"{model['labels']} labels" if model.get("labels") else ""
    default = "the default model" if model.get("default") else ""
    facts = (labels, model.get("runtime"), default, model.get("remark"))
    return ", ".join(["served", *filter(None, facts)])


def _image(models: Sequence[Mapping[str, Any]]) -> str:
    """Return the path of an image to try with the default model."""
    default = next((model["name"] for model in models if model.get("default")), "")
    return _SAMPLES.get(default, "PHOTO.jpg")


def _management_lines(management: Mapping[str, str] | None) -> list[str]:
    if management is None:
        return []
    return [
        f"RabbitMQ's management UI: {management['url']} "
        f"(user {management['user']}, password {management['password']})"
    ]


def status_document(
    processes: Iterable[Process],
    *,
    supervisor: int | None,
    addresses: Addresses | None,
    facts: Facts,
) -> dict[str, Any]:
    """Describe the system for programs: process ids by role, addresses, queue depth."""
    roles: dict[str, list[int]] = {}
    for process in processes:
        if process.pid:
            roles.setdefault(process.role, []).append(process.pid)
    return {
        "running": True,
        "ready": facts.is_ready,
        "url": addresses and addresses.url,
        "management": addresses and addresses.management,
        "supervisor": supervisor,
        "roles": roles,
        "models": list(facts.models),
        "queue_depth": facts.queue_depth,
        "oldest_waiting_s": facts.oldest_waiting_s,
        "uptime_s": facts.uptime_s,
    }


def status_text(processes: Iterable[Process], *, addresses: Addresses | None, facts: Facts) -> str:
    """Describe the system for people."""
    where = addresses.url + "/" if addresses else "starting"
    depth = "unknown" if facts.queue_depth is None else str(facts.queue_depth)
    oldest = "none" if facts.oldest_waiting_s is None else f"for {_span(facts.oldest_waiting_s)}"
    lines = [
        f"address       {where}",
        f"ready         {'yes' if facts.is_ready else f'no: {facts.obstacle}'}",
        f"uptime        {'unknown' if facts.uptime_s is None else _span(facts.uptime_s)}",
        f"queue depth   {depth}",
        f"oldest job    {oldest if oldest == 'none' else f'waiting {oldest}'}",
        "",
        "models",
        *_model_lines(facts.models),
        "",
        "programs",
        *_program_lines(processes),
    ]
    return "\n".join(lines)


def _program_lines(processes: Iterable[Process]) -> list[str]:
    return [
        f"  {process.name:<14}{process.state.lower():<12}{process.pid or ''}".rstrip()
        for process in processes
    ]


def _span(seconds: float) -> str:
    """Write a time in the two largest units that it has."""
    parts = [
        (int(seconds // 86_400), "d"),
        (int(seconds // 3600 % 24), "h"),
        (int(seconds // 60 % 60), "min"),
        (int(seconds % 60), "s"),
    ]
    first = next((index for index, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])
