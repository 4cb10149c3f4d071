"""A client takes its job back while the real consumer waits for it, or works on it."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.examples import an_image
from tests.integration.roles import Roles, running_roles
from tests.waiting import wait_for

# The engine warms up with an image of 64 pixels; any other takes its time.
SLOW = """
import time

class Predictor:
    def load(self):
        pass

    def predict(self, images):
        if images[0].width != 64:
            time.sleep(2)
        return [[("slow", 1.0)] for _ in images]
"""


@pytest.fixture
def system(amqp_url: str, mongo_url: str, tmp_path: Path) -> Iterator[Roles]:
    folder = tmp_path / "models" / "slow"
    folder.mkdir(parents=True)
    (folder / "predictor.py").write_text(SLOW)
    (folder / "model.toml").write_text('predictor = "predictor:Predictor"')
    with running_roles(
        tmp_path,
        amqp_url=amqp_url,
        mongo_url=mongo_url,
        DARKROOM_MODELS="slow",
        DARKROOM_MODELS_DIR=str(folder.parent),
    ) as roles:
        yield roles


def submitted(system: Roles) -> str:
    return system.client.post_form(an_image()).headers["Location"]


def test_the_result_of_a_cancelled_job_never_appears(system: Roles) -> None:
    worked_on, next_one, waiting, wanted = (submitted(system) for _ in range(4))
    # An engine has two lanes: while one is in it, the other's next one waits for it.
    wait_for(lambda: system.client.job(worked_on)["state"] == "processing")
    wait_for(lambda: system.client.job(next_one)["state"] == "processing")

    answers = [system.client.delete(location) for location in (worked_on, waiting)]

    assert [answer.status_code for answer in answers] == [HTTPStatus.OK] * 2
    # It came last, so the consumer is done with the others by then.
    assert system.client.wait_for(wanted)["state"] == "done"
    cancelled = [system.client.job(location) for location in (worked_on, waiting)]
    assert [answer.json() for answer in answers] == cancelled
    assert [(job["state"], job["attempts"]) for job in cancelled] == [
        ("cancelled", 1),
        ("cancelled", 0),
    ]


def test_a_deleted_job_stays_away_though_its_message_comes(system: Roles) -> None:
    worked_on, deleted, wanted = (submitted(system) for _ in range(3))
    wait_for(lambda: system.client.job(worked_on)["state"] == "processing", what="it is claimed")

    answers = [system.client.delete(location) for location in (deleted, deleted, deleted)]

    assert [answer.status_code for answer in answers] == [
        HTTPStatus.OK,
        HTTPStatus.NO_CONTENT,
        HTTPStatus.NOT_FOUND,
    ]
    assert system.client.wait_for(wanted)["state"] == "done"
    assert system.client.job(deleted)["type"] == "urn:darkroom:problem:job-not-found"
