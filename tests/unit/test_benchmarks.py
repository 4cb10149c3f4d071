"""The arithmetic, command line and pages of the benchmark."""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cli, figures, report
from benchmarks.client import Connection, RefusedError
from benchmarks.plan import Configuration, Plan
from benchmarks.result import JSON, PartResult, Table, Target
from testbed import usage
from testbed.markdown import write_into

OUTCOME = PartResult(
    part="limit",
    seconds=1.5,
    tables=(
        Table(
            caption="The limit",
            head=("model", "images/s"),
            rows=(("resnet18", [64.0, 65.0, 66.0]), ("resnet50", figures.Spread(9.0, 12.0, 15.0))),
        ),
    ),
    targets=(
        Target(what="fast", measured="65", is_met=True),
        Target(what="small", measured="400 MB", is_met=False),
    ),
    figures={"lines": []},
)
MACHINE = {"processor": "a fast one", "cores": "2"}
PAGE = f"before\n<!-- begin: {report.MARK} -->\n\nold\n\n<!-- end: {report.MARK} -->\nafter\n"


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1))
def test_a_median_lies_between_its_quartiles_and_those_between_the_extremes(
    values: list[float],
) -> None:
    found = figures.spread(values)

    assert min(values) <= found.low <= found.median <= found.high <= max(values)


def test_a_ratio_compares_only_what_was_measured_in_the_same_round() -> None:
    found = figures.ratio([10.0, 40.0, 90.0], [5.0, 20.0, 45.0])

    assert found == figures.Spread(2.0, 2.0, 2.0)


@pytest.mark.parametrize(("percent", "value"), [(50, 51), (95, 96), (99, 100), (100, 100)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert figures.percentile(list(range(1, 101)), percent) == value


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (99.96, "100.0"), (12.34, "12.3"), (0.987, "0.99")]
)
def test_figures_have_no_more_digits_than_mean_something(value: float, text: str) -> None:
    assert figures.short(value) == text


def test_an_outcome_survives_json() -> None:
    kept = JSON.validate_json(json.dumps(json.loads(JSON.dump_json(OUTCOME))))

    assert JSON.dump_python(kept, mode="json") == JSON.dump_python(OUTCOME, mode="json")


def test_the_page_says_of_every_target_whether_it_was_met() -> None:
    page = report.markdown([OUTCOME], MACHINE)

    assert "| fast | 65 | yes |" in page
    assert "| small | 400 MB | no |" in page
    assert "| resnet18 | 65.0 (64.5 to 65.5) |" in page
    assert "| resnet50 | 12.0 (9.00 to 15.0) |" in page
    assert "processor: a fast one" in page


def test_the_page_names_a_part_that_did_not_come_to_its_end() -> None:
    page = report.markdown([PartResult(part="growth", fault="no space left")], MACHINE)

    assert "growth did not come to its end: no space left" in page


def test_figures_replace_only_what_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)

    write_into(page, report.MARK, "new")

    assert page.read_text() == PAGE.replace("old", "new")


def test_a_page_without_marks_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a page")

    with pytest.raises(ValueError, match="has no"):
        write_into(page, report.MARK, "new")

    assert page.read_text() == "a page"


def test_without_a_part_all_but_a_round_are_measured() -> None:
    assert cli.parse([], Path())[0] == [part for part in cli.PARTS if part != "round"]


def test_a_part_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse(["speed"], Path())

    assert "no such part: speed" in capsys.readouterr().err


def test_engines_and_batches_are_combined_and_torch_is_there_once_to_compare_with() -> None:
    found = _planned("service", "--engines", "2", "1", "--batch", "1", "8").configurations

    assert [str(one) for one in found] == [
        "onnx, 1 x 2, batch 1",
        "onnx, 1 x 2, batch 8",
        "onnx, 1 x 1, batch 1",
        "onnx, 1 x 1, batch 8",
        "eager, 1 x 2, batch 1",
    ]


def test_by_default_the_service_has_an_engine_for_each_core_that_it_may_use() -> None:
    plan = _planned("service", "--cores", "3")

    assert plan.configurations[0] == Configuration(runtime="onnx", engines=3)


def test_a_quick_run_measures_less_of_everything() -> None:
    quick, whole = _planned("--quick"), _planned()

    assert quick.rounds < whole.rounds
    assert quick.jobs < whole.jobs
    assert max(quick.finished) < max(whole.finished) == 1_000_000
    assert max(quick.waiting) < max(whole.waiting) == 100_000


def test_a_process_counts_with_its_children_whatever_its_name(tmp_path: Path) -> None:
    shell = tmp_path / "a) 1 (b"
    shutil.copy(str(shutil.which("bash")), shell)
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    # The first child ends before it is looked at; the second lives.
    script = f'"{sys.executable}" -c "{busy}"; sleep 60 & echo; wait'
    with subprocess.Popen([shell, "-c", script], stdout=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdout is not None
        process.stdout.readline()

        found = usage.by_role({"role": [process.pid]})["role"]

        for child in psutil.Process(process.pid).children():
            child.kill()
    assert found.processes == 2
    assert found.cpu_s >= 0.15  # the kernel counts in hundredths
    assert 0 < found.largest_mb < found.resident_mb


def test_what_a_role_computed_is_told_also_of_one_that_was_not_there_before() -> None:
    before = {"api": usage.Usage(cpu_s=1.0)}
    after = {"api": usage.Usage(cpu_s=1.5), "engine": usage.Usage(cpu_s=2.0)}

    assert usage.cpu_between(before, after) == {"api": 0.5, "engine": 2.0}


def test_the_client_keeps_its_connection_and_opens_another_when_that_was_closed() -> None:
    accepted = _answer("202 Accepted", '{"id": "a"}')
    closing = _answer("200 OK", '{"state": "done"}', "Connection: close\r\n")
    refused = _answer("503 Service Unavailable", "{}")
    with _server([accepted, closing], [refused]) as url:
        client = Connection(url)

        assert client.post(b"pixels", model="m") == "a"
        assert client.job("a") == {"state": "done"}
        with pytest.raises(RefusedError, match="503"):
            client.post(b"pixels", model="m")
        client.close()


def _planned(*words: str) -> Plan:
    return cli.parse(words, Path())[1]


def _answer(status: str, body: str, fields: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@contextmanager
def _server(*connections: list[bytes]) -> Iterator[str]:
    """Answer one request on each connection, one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answers in connections:
                connection, _ = listening.accept()
                with connection:
                    for answer in answers:
                        _read_request(connection)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def _read_request(connection: socket.socket) -> None:
    """Read a request; its head and its body may arrive separately."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while length is not None and len(body) < int(length[1]):
        body += connection.recv(65_536)
