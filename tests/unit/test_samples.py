"""Images to try: those of the models that are served, and no other file."""

from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from tests.examples import an_image
from tests.service import PROBLEM_TYPE, Api

MODELS: Final = Path(__file__).parents[2] / "models"


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """Folders of models: `mine` has two samples, `bare` has none, `other` is not served."""
    for name in ("mine/samples", "bare", "other/samples"):
        (tmp_path / name).mkdir(parents=True)
    for file in ("mine/samples/b.PNG", "mine/samples/a.jpg", "other/samples/c.png"):
        (tmp_path / file).write_bytes(an_image())
    for file in ("mine/samples/notes.txt", "mine/samples/.hidden", "mine/model.toml"):
        (tmp_path / file).write_text("text")
    return tmp_path


@pytest.fixture
def api_of_mine(models_dir: Path) -> Api:
    return Api(models_dir=models_dir, models=("mine", "bare", "resnet18"))


def test_samples_are_listed_by_model_in_the_order_of_their_names(api_of_mine: Api) -> None:
    assert api_of_mine.client.get("/samples").json == {
        "mine": ["/samples/mine/a.jpg", "/samples/mine/b.PNG"],
        "bare": [],
        "resnet18": [],
    }


def test_a_listed_sample_is_sent_with_its_type(api_of_mine: Api) -> None:
    with api_of_mine.client.get("/samples/mine/a.jpg") as sent:
        assert sent.status_code == HTTPStatus.OK
        assert sent.content_type == "image/jpeg"
        assert sent.data == an_image()


@pytest.mark.parametrize(
    "path",
    [
        "mine/notes.txt",
        "mine/.hidden",
        "mine/nothing.jpg",
        "mine/..%2fmodel.toml",
        "mine/%2e%2e%2fmodel.toml",
        "other/c.png",
        "../models/mine/samples/a.jpg",
        "nobody/a.jpg",
    ],
)
def test_no_other_file_is_sent(api_of_mine: Api, path: str) -> None:
    refused = api_of_mine.client.get(f"/samples/{path}")

    assert refused.status_code == HTTPStatus.NOT_FOUND
    assert refused.content_type == PROBLEM_TYPE


def test_a_folder_with_many_samples_offers_twelve(models_dir: Path) -> None:
    (models_dir / "bare" / "samples").mkdir()
    for number in range(20):
        (models_dir / "bare" / "samples" / f"{number}.png").write_bytes(an_image())

    many = Api(models_dir=models_dir, models=("bare",)).client.get("/samples").json

    assert many is not None
    assert len(many["bare"]) == 12


def test_the_models_that_ship_have_samples() -> None:
    api = Api(models_dir=MODELS, models=("photos", "digits"))

    listed = api.client.get("/samples").json

    assert listed is not None
    assert "/samples/photos/coffee.jpg" in listed["photos"]
    assert len(listed["digits"]) == 10
    for path in (*listed["photos"], *listed["digits"]):
        with api.client.get(path) as sent:
            assert sent.status_code == HTTPStatus.OK
