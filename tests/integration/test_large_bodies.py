"""Large bodies of every layout, through the real nginx and uWSGI, which buffers them in a file."""

import os
import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self

import pytest
import requests

from common.memory import MEBIBYTE
from tests.hostile_bodies import HOSTILE
from tests.integration.roles import Roles

SIZE = 10 * MEBIBYTE - 1000
MOST_BESIDE_BYTES = 16 * MEBIBYTE
GOOD = [name for name in HOSTILE if name.startswith(("image ", "gzip of an image"))]
BAD = ["small lists", "metadata", "form of lines like its boundary", "gzip of blocks with tables"]


def send(system: Roles, name: str) -> requests.Response:
    body = HOSTILE[name](SIZE)
    headers = {"Content-Type": body.content_type}
    if body.is_gzip:
        headers["Content-Encoding"] = "gzip"
    return requests.post(
        f"{system.client.url}/jobs", data=body.content, headers=headers, timeout=60
    )


@pytest.mark.parametrize("name", GOOD)
def test_a_large_image_is_accepted_in_each_layout(system: Roles, name: str) -> None:
    response = send(system, name)

    assert response.status_code == HTTPStatus.ACCEPTED, response.text


@pytest.mark.parametrize("name", BAD)
def test_a_large_body_that_is_made_to_be_costly_costs_the_worker_little(
    system: Roles, name: str
) -> None:
    before = [Costs.of(pid) for pid in system.api.children()]

    response = send(system, name)

    after = [Costs.of(pid) for pid in system.api.children()]
    assert response.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
    # The parsers of before took 0.3 s to 2 s. To the api's 50 ms uWSGI adds its own, and the
    # machine what it has else to do.
    assert sum(a.processor_s - b.processor_s for a, b in zip(after, before, strict=True)) < 0.25
    grown = max(a.most_bytes - b.bytes for a, b in zip(after, before, strict=True))
    assert grown < SIZE + MOST_BESIDE_BYTES


@dataclass(frozen=True)
class Costs:
    """What a process uses: processor time, and memory now and at its largest."""

    processor_s: float
    bytes: int
    most_bytes: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Measure a process, and reset its largest size."""
        process = Path(f"/proc/{pid}")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        status = (process / "status").read_text()
        sizes = {
            name: int(kib) * 1024 for name, kib in re.findall(r"(VmHWM|VmRSS):\s+(\d+) kB", status)
        }
        (process / "clear_refs").write_text("5")  # man proc_pid_clear_refs
        ticks = int(fields[11]) + int(fields[12])
        return cls(ticks / os.sysconf("SC_CLK_TCK"), sizes["VmRSS"], sizes["VmHWM"])
