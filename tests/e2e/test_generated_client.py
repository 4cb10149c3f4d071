"""A client generated from the OpenAPI description uses the service."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Darkroom

SEVEN = Path("models/digits/samples/7.png").read_bytes()
PACKAGE = "generated_darkroom"
WAIT_S = 20


@dataclass(frozen=True)
class Generated:
    """The generated package, and the address of the running system."""

    url: str

    def module(self, name: str) -> Any:
        return importlib.import_module(f"{PACKAGE}.{name}")

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call the operation with this id; return the response, whose answer is parsed."""
        module = self.module(f"api.default.{operation}")
        with self.module("client").Client(base_url=self.url) as client:
            return module.sync_detailed(client=client, **arguments)

    def model(self, name: str) -> Any:
        return getattr(self.module("models"), name)

    def file(self) -> Any:
        return self.module("types").File(payload=BytesIO(SEVEN), file_name="7.png")


@pytest.fixture(scope="module")
def generated(darkroom: Darkroom, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    folder = tmp_path_factory.mktemp("generated")
    (folder / "config.yml").write_text("post_hooks: []\n")
    subprocess.run(  # noqa: S603 (a development tool of ours)
        [
            *(sys.executable, "-m", "openapi_python_client", "generate"),
            *("--url", f"{darkroom.url}/openapi.json", "--meta", "none"),
            *("--output-path", str(folder / PACKAGE), "--config", str(folder / "config.yml")),
        ],
        check=True,
        capture_output=True,
    )
    sys.path.insert(0, str(folder))
    yield Generated(darkroom.url)
    sys.path.remove(str(folder))


def test_a_form_is_submitted_and_its_result_waited_for(generated: Generated) -> None:
    body = generated.model("FormSubmission")(image=generated.file(), top_k=3)

    submitted = generated.call("submit_job", body=body)
    job = generated.call("show_job", job_id=submitted.parsed.id, wait=WAIT_S).parsed

    assert submitted.status_code == 202
    assert job.state == "done"
    assert job.result.predictions[0].label == "7"
    assert len(job.result.predictions) == 3


def test_metadata_in_a_form_comes_back(generated: Generated) -> None:
    metadata = generated.model("FormSubmissionMetadata").from_dict({"album": "x", "page": 7})
    body = generated.model("FormSubmission")(image=generated.file(), metadata=metadata)

    job = generated.call("submit_job", body=body).parsed

    assert job.metadata.to_dict() == {"album": "x", "page": 7}


def test_a_raw_body_takes_its_options_from_the_query(generated: Generated) -> None:
    answer = generated.call("submit_job", body=generated.file(), top_k=2, wait=WAIT_S)

    assert answer.status_code == 200
    assert len(answer.parsed.result.predictions) == 2


def test_a_finished_job_is_removed(generated: Generated) -> None:
    job = generated.call("submit_job", body=generated.file(), wait=WAIT_S).parsed

    removed = generated.call("remove_job", job_id=job.id)

    assert removed.status_code == 204
    assert generated.call("show_job", job_id=job.id).status_code == 404


def test_a_problem_is_parsed(generated: Generated) -> None:
    answer = generated.call("show_job", job_id="unknown")

    assert answer.status_code == 404
    assert answer.parsed.type_ == "urn:darkroom:problem:job-not-found"


def test_models_and_health_are_parsed(generated: Generated) -> None:
    models = generated.call("list_models").parsed.models

    assert [model.name for model in models if model.default] == ["digits"]
    assert generated.call("is_alive").parsed.status == "ok"
    assert generated.call("is_ready").parsed.status == "ready"
