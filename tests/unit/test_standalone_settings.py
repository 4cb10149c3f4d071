"""The settings of the standalone system: its ports, and which servers it runs itself."""

import pytest

from common.settings.loading import load_or_exit
from standalone.settings import StandaloneSettings

pytestmark = pytest.mark.usefixtures("no_settings")


def ports(settings: StandaloneSettings) -> list[int]:
    return [
        settings.port,
        settings.mongo_port,
        settings.amqp_port,
        settings.management_port,
        settings.dist_port,
        settings.epmd_port,
    ]


@pytest.mark.parametrize("port", [1024, 8080, 65_000])
def test_one_port_moves_all_of_them(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("DARKROOM_PORT", str(port))

    settings = load_or_exit(StandaloneSettings)

    assert ports(settings) == [port, *range(port + 2, port + 7)]


def test_a_port_that_is_given_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_PORT", "9000")
    monkeypatch.setenv("DARKROOM_AMQP_PORT", "5672")

    settings = load_or_exit(StandaloneSettings)

    assert ports(settings) == [9000, 9002, 5672, 9004, 9005, 9006]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"PORT": "9000", "EPMD_PORT": "9000"}, "EPMD_PORT=9000"),
        ({"MONGO_PORT": "7000", "DIST_PORT": "7000"}, "DIST_PORT=7000"),
        # The other port is not in the environment: it follows from the port of the service.
        ({"AMQP_PORT": "8082"}, "AMQP_PORT=8082"),
        ({"PORT": "9000", "MONGO_PORT": "9006"}, "MONGO_PORT=9006"),
    ],
)
def test_two_ports_that_are_one_give_a_line_that_names_one_that_was_given(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, str],
    told: str,
) -> None:
    for name, number in given.items():
        monkeypatch.setenv(f"DARKROOM_{name}", number)

    with pytest.raises(SystemExit) as ended:
        load_or_exit(StandaloneSettings)

    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"darkroom: DARKROOM_{told} is invalid: "
        "expected a port that no other DARKROOM_..._PORT uses\n"
    )


def test_without_urls_the_servers_are_its_own() -> None:
    settings = load_or_exit(StandaloneSettings)

    assert settings.runs_own_mongo
    assert settings.runs_own_rabbitmq


def test_no_store_is_started_beside_one_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_MONGO_URL", "mongodb://127.0.0.1:27017")

    settings = load_or_exit(StandaloneSettings)

    assert not settings.runs_own_mongo
    assert settings.runs_own_rabbitmq


def test_no_rabbitmq_is_started_beside_one_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2F")

    settings = load_or_exit(StandaloneSettings)

    assert settings.runs_own_mongo
    assert not settings.runs_own_rabbitmq


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 2),  # eight consumers on 16 cores
        ({"CONSUMERS": "3"}, 5),
        ({"CONSUMERS": "32"}, 1),
        ({"CONSUMERS": "2", "CORES": "4"}, 4),
    ],
)
def test_consumers_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    for name, value in given.items():
        monkeypatch.setenv(f"DARKROOM_{name}", value)

    assert load_or_exit(StandaloneSettings).cores_per_consumer == expected


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("", ""),
        ("192.0.2.1", "192.0.2.1/32"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_a_trusted_proxy_is_an_address_or_a_network(
    monkeypatch: pytest.MonkeyPatch, given: str, understood: str
) -> None:
    monkeypatch.setenv("DARKROOM_TRUSTED_PROXY", given)

    assert load_or_exit(StandaloneSettings).trusted_proxy == understood


def test_a_trusted_proxy_that_is_neither_gives_a_line_that_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_TRUSTED_PROXY", "10.0.0.1/8; x")

    with pytest.raises(SystemExit):
        load_or_exit(StandaloneSettings)

    assert capsys.readouterr().err == (
        "darkroom: DARKROOM_TRUSTED_PROXY='10.0.0.1/8; x' is invalid: "
        "expected an address such as 192.0.2.1, or a network such as 10.0.0.0/8\n"
    )
