"""The system in containers, as its users see it and as an attacker would."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from testbed.client import Client
from testbed.ports import free_port
from testbed.processes import stand_still
from testbed.waiting import wait_for
from tests.compose.container import Container
from tests.compose.engine import BASES, ROOT, Engine
from tests.compose.system import ComposeSystem
from tests.e2e.test_imagenet import FOLDER

_SEVEN: Final = (ROOT / "models" / "digits" / "samples" / "7.png").read_bytes()
_CANARY_PORT: Final = 8000
# Connects to the canary, or is refused, or waits: in any case soon.
_KNOCK: Final = "timeout 4 bash -c 'exec 3<>/dev/tcp/{host}/{port}'"
_WITHOUT_A_WAY_OUT: Final = ("api", "consumer", "rabbitmq", "mongo")

# The first test waits until the images are built, maybe with an engine that is installed first.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def client(system: ComposeSystem) -> Client:
    return Client(system.url)


@pytest.fixture(scope="module")
def canary(engine: Engine, system: ComposeSystem) -> Iterator[tuple[str, int]]:
    """A server in another network, with its port on the host, which answers whoever reaches it."""
    name, port = f"{system.project}-canary", free_port()
    engine.run("network", "create", name)
    engine.run(
        *("run", "--detach", "--rm", "--name", name, "--network", name),
        *("--publish", f"0.0.0.0:{port}:{_CANARY_PORT}", "--entrypoint", "python3"),
        *(BASES["python"], "-m", "http.server", str(_CANARY_PORT)),
    )
    gateway = engine.inspect(name, kind="network")["IPAM"]["Config"][0]["Gateway"]
    yield gateway, port
    engine.run("rm", "--force", name)
    engine.run("network", "rm", name)


def test_a_digit_is_classified(client: Client) -> None:
    location = client.post_form(_SEVEN).headers["Location"]

    assert client.wait_for(location)["result"]["predictions"][0]["label"] == "7"


def test_a_photograph_is_classified(client: Client, models: Path) -> None:
    if not (models / "squeezenet").exists():
        pytest.skip("no photographs here: DARKROOM_TEST_IMAGENET names no folder with them")
    name, reference = next(iter(json.loads((FOLDER / "reference.json").read_text()).items()))
    photograph = (FOLDER / "images" / name).read_bytes()

    location = client.post_form(photograph, model="squeezenet").headers["Location"]

    predictions = client.wait_for(location)["result"]["predictions"]
    assert predictions[0]["label"] == reference["predictions"][0]["label"]


def test_all_health_checks_turn_green(system: ComposeSystem) -> None:
    system.wait_until_green()

    health = {container.service: container.health for container in system.containers}
    assert health == dict.fromkeys(health, "healthy")


def test_a_role_that_stands_still_is_unhealthy(system: ComposeSystem) -> None:
    courier = container_of(system.couriers[0])
    assert look_at(courier) == "well\n"

    stand_still(courier.pid)
    try:
        # Instead of the half minute that the check waits.
        courier.run("touch", "--date", "1 minute ago", "/tmp/pulse")  # noqa: S108 (its own)
        assert look_at(courier) == "ill\n"
    finally:
        os.kill(courier.pid, signal.SIGCONT)

    wait_for(lambda: look_at(courier) == "well\n", what="the courier is well again")


def test_the_queue_is_seen_with_the_password_that_was_made_and_with_no_other(
    system: ComposeSystem,
) -> None:
    queue = system.manage("queues/%2F/darkroom.classify")
    guest = system.manage("overview", user="guest", password="guest")  # noqa: S106 (refused)

    assert queue.status_code == HTTPStatus.OK
    assert queue.json()["type"] == "quorum"
    assert guest.status_code == HTTPStatus.UNAUTHORIZED


def test_no_way_leads_out_but_the_couriers(system: ComposeSystem, canary: tuple[str, int]) -> None:
    host, port = canary
    reached = {
        container.service: knock(container, host, port)
        for container in system.containers
        if container.service in (*_WITHOUT_A_WAY_OUT, "courier")
    }

    assert reached == {**dict.fromkeys(_WITHOUT_A_WAY_OUT, False), "courier": True}


def test_no_container_has_more_rights_than_it_needs(system: ComposeSystem) -> None:
    for container in system.containers:
        document = system.engine.inspect(container.container_id)
        host = document["HostConfig"]
        assert host["ReadonlyRootfs"], container.service
        assert host["CapDrop"] == ["ALL"], container.service
        assert not host["CapAdd"], container.service
        assert not host["Privileged"], container.service
        assert "no-new-privileges:true" in host["SecurityOpt"], container.service
        assert host["Memory"] > 0, container.service
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
        rights = container.run("cat", "/proc/1/status")
        facts = dict(line.split(":\t", 1) for line in rights.splitlines() if ":\t" in line)
        assert facts["Uid"].split()[0] != "0", container.service
        assert int(facts["CapEff"], 16) == 0, container.service
        assert facts["NoNewPrivs"] == "1", container.service


def test_nothing_is_written_but_to_volumes_and_memory(system: ComposeSystem) -> None:
    for container in system.containers:
        document = system.engine.inspect(container.container_id)
        mounts = {mount["Destination"] for mount in document["Mounts"]}
        mounts |= set(document["HostConfig"]["Tmpfs"] or {})
        written = system.engine.run("diff", container.container_id).splitlines()
        # What is mounted needs a place to be mounted at.
        places = {str(parent) for mount in mounts for parent in [Path(mount), *Path(mount).parents]}

        assert [line for line in written if line.split()[1] not in places] == []


def test_only_what_is_asked_for_is_published(system: ComposeSystem) -> None:
    published = {
        (container.service, binding["HostIp"])
        for container in system.containers
        for bindings in system.engine.inspect(container.container_id)["NetworkSettings"][
            "Ports"
        ].values()
        for binding in bindings or ()
    }

    assert published == {("nginx", "127.0.0.1")}


def test_the_access_log_has_the_job_and_the_api_that_took_it(
    system: ComposeSystem, client: Client
) -> None:
    location = client.post_form(_SEVEN).headers["Location"]
    job_id = location.rpartition("/")[2]

    [line] = [line for line in nginx_log(system) if f"job={job_id}" in line and "POST" in line]

    assert f"api={container_of(system.api).address_in('web')}:8081" in line


def test_more_containers_do_more_of_the_work_and_fewer_lose_none(
    system: ComposeSystem, client: Client
) -> None:
    system.scale(consumer=2, api=2)
    system.wait_until_all_consume()
    system.wait_until_green()
    before = len(nginx_log(system))

    with ThreadPoolExecutor(8) as clients:
        locations = [
            response.headers["Location"]
            for response in clients.map(lambda _: client.post_form(_SEVEN), range(200))
        ]
        states = list(clients.map(lambda location: client.wait_for(location)["state"], locations))

    assert states == ["done"] * len(locations)
    shares = [done_by(container_of(consumer), locations) for consumer in system.consumers]
    assert len(shares) == 2
    assert all(share > 0 for share in shares)
    assert sum(shares) == len(locations)
    apis = Counter(field(line, "api") for line in nginx_log(system)[before:] if "POST" in line)
    assert {f"{api.address_in('web')}:8081" for api in system.apis} <= set(apis)

    system.scale(consumer=1, api=1)
    # nginx asks Docker for the names every second.
    assert client.wait_for(client.post_form(_SEVEN).headers["Location"])["state"] == "done"


def look_at(role: Container) -> str:
    return role.run("sh", "-c", f"./start.sh healthy {role.service} && echo well || echo ill")


def knock(container: Container, host: str, port: int) -> bool:
    ask = f"{_KNOCK.format(host=host, port=port)} && echo open || echo shut"
    return container.run("bash", "-c", f"({ask}) 2>/dev/null") == "open\n"


def container_of(server: object) -> Container:
    assert isinstance(server, Container)
    return server


def nginx_log(system: ComposeSystem) -> list[str]:
    return container_of(system.nginx).printed().decode().splitlines()


def field(line: str, name: str) -> str:
    return line.partition(f"{name}=")[2].split()[0]


def done_by(consumer: Container, locations: list[str]) -> int:
    """Count the jobs in a consumer's log."""
    log = consumer.printed().decode()
    return sum(location.rpartition("/")[2] in log for location in locations)
