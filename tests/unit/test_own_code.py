"""The code in a model's folder never clashes with another model's, ours or Python's."""

import importlib
import os
import pickle
import random
import sys
import types
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

import common.jobs
from engine.models.errors import ModelUnavailableError
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.own_code import by_name
from engine.models.paths import ModelPaths

# Returns what `label` returns, a function that the test writes into the same file.
PREDICTOR = """


class Predictor:
    def load(self):
        pass

    def predict(self, images):
        return [[(str(label()), 1.0)] for _ in images]
"""
Files = dict[str, str]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the folder of a model, whose predictor says what its `label()` returns."""

    def write_folder(name: str, code: str, files: Files | None = None) -> Path:
        folder = tmp_path / "models" / name
        texts = {"model.toml": 'predictor = "model:Predictor"', "model.py": code + PREDICTOR}
        for file, text in (texts | (files or {})).items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        return folder

    return write_folder


def load(folder: Path) -> Model:
    paths = ModelPaths(folder.parent, folder.parent / "weights")
    return load_model(folder.name, paths, runtime="torch", threads=1)


def told(model: Model) -> str:
    [[best]] = classify(model, [PIL.Image.new("RGB", (4, 4))], top_k=1)
    return best.label


AT_ONCE = "from utils import LABEL\ndef label(): return LABEL"
LAZILY = "def label():\n    import utils\n    return utils.LABEL"
BY_NAME = "import importlib\ndef label(): return importlib.import_module('utils').LABEL"
RELATIVELY = "from . import utils\ndef label(): return utils.LABEL"
IN_A_THREAD = """
from concurrent.futures import ThreadPoolExecutor

def lazily():
    from utils import LABEL
    return LABEL

def label():
    with ThreadPoolExecutor() as threads:
        return threads.submit(lazily).result()
"""
IN_CODE_OF_CODE = "def label():\n    exec('from utils import LABEL', (names := {}))\n"
IN_CODE_OF_CODE += "    return names['LABEL']"


@pytest.mark.parametrize(
    "code", [AT_ONCE, LAZILY, BY_NAME, RELATIVELY, IN_A_THREAD, IN_CODE_OF_CODE]
)
def test_two_folders_with_a_helper_of_the_same_name_have_each_their_own(
    write: Write, code: str
) -> None:
    models = [
        load(write(f"helper-{one}", code, {"utils.py": f"LABEL = 'from helper {one}'"}))
        for one in "ab"
    ]

    assert [told(model) for model in models] == ["from helper a", "from helper b"]
    assert "utils" not in sys.modules


@pytest.mark.parametrize("name", ["common", "api", "consumer", "courier", "random", "torch"])
def test_a_helper_may_have_a_name_of_ours_of_pythons_or_of_a_library(
    write: Write, name: str
) -> None:
    before = sys.modules.get(name)

    own = load(
        write(
            "own",
            f"import {name}\ndef label(): return {name}.LABEL",
            {f"{name}.py": f"LABEL = 'my own {name}.py'"},
        )
    )
    other = load(write("other", f"import {name}\ndef label(): return hasattr({name}, 'LABEL')"))

    assert (told(own), told(other)) == (f"my own {name}.py", "False")
    assert sys.modules.get(name) is before or before is None


def test_ours_stay_ours_beside_a_helper_that_is_named_common(write: Write) -> None:
    load(write("own", "import common.jobs\ndef label(): return 1", {"common/jobs.py": "Job = 3"}))

    assert importlib.import_module("common.jobs") is common.jobs
    assert common.jobs.Job is not None


def test_a_helper_comes_before_an_installed_module_and_a_folder_of_data_after_it(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "twice.py").write_text("LABEL = 'installed'")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    code = "import twice\ndef label(): return twice.LABEL"

    helped = load(write("helped", code, {"twice.py": "LABEL = 'beside'"}))
    with_data = load(write("with-data", code, {"twice/weights.txt": ""}))
    monkeypatch.delitem(sys.modules, "twice")

    assert (told(helped), told(with_data)) == ("beside", "installed")


# A library that reads names from its caller, as libraries for configuration do.
LIBRARY = """
import importlib

def made(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
"""


def test_a_library_finds_by_name_what_its_caller_has_but_pythons_modules_first(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "by_the_name.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path / "installed")
    code = "from by_the_name import made\n"
    code += "def label(): return made('parts.LABEL'), made('common.LABEL'), made('random.Random')"
    helpers = [
        {"parts.py": f"LABEL = {n}", "common.py": f"LABEL = {n}", "random.py": "Random = 'no'"}
        for n in (1, 2)
    ]

    models = [load(write(f"m{n}", code, files)) for n, files in enumerate(helpers)]
    monkeypatch.delitem(sys.modules, "by_the_name")

    assert [told(model) for model in models] == [f"({n}, {n}, {random.Random})" for n in (1, 2)]
    with pytest.raises(ModuleNotFoundError, match="parts"):
        importlib.import_module("parts")


PACKAGE = {
    "parts/__init__.py": "from . import base\nfrom .deep.words import WORD as WORD",
    "parts/base.py": "from ..words import WORD as ABOVE",
    "parts/deep/__init__.py": "",
    "parts/deep/words.py": "from ..base import ABOVE\nimport words\nWORD = ABOVE + words.WORD",
    "words.py": "WORD = '{}'",
}
OF_PACKAGE = """
import parts.deep.words
import parts.base as base
from parts import WORD
from parts.deep import words
from parts import *

def label(): return WORD + base.ABOVE + words.WORD + parts.deep.words.WORD
"""


def test_packages_import_from_each_other_in_every_way(write: Write) -> None:
    models = []
    for word in "xy":
        files = {file: text.format(word) for file, text in PACKAGE.items()}
        models.append(load(write(f"package-{word}", OF_PACKAGE, files)))

    assert [told(model) for model in models] == ["x" * 7, "y" * 7]


def test_a_predictor_may_lie_in_a_package_and_its_folder_be_one(write: Write) -> None:
    folder = write(
        "deep",
        "",
        {
            "__init__.py": "LABEL = 'of the folder'",
            "inner/model.py": f"from .. import LABEL\ndef label(): return LABEL{PREDICTOR}",
            "model.toml": 'predictor = "inner.model:Predictor"',
        },
    )

    assert told(load(folder)) == "of the folder"


MIRRORED = """
from __future__ import annotations

import enum
import sys
from dataclasses import KW_ONLY, dataclass, fields
from typing import ClassVar, get_type_hints


@dataclass
class Thing:
    kind: ClassVar[int] = 3
    _: KW_ONLY
    other: Thing | None = None


class Colour(enum.Enum):
    RED = 1


def label():
    here = sys.modules[__name__]
    hint = get_type_hints(Thing)["other"]
    return here.Thing is Thing, [one.name for one in fields(Thing)], hint == (Thing | None)
"""


def test_dataclasses_and_type_hints_find_the_module_that_they_are_of(write: Write) -> None:
    model = load(write("mirrored", "from thing import label", {"thing.py": MIRRORED}))

    assert told(model) == "(True, ['other'], True)"


def test_a_helper_finds_the_files_beside_it(write: Write) -> None:
    code = """
import importlib.resources
from pathlib import Path

def label():
    found = importlib.resources.files("assets") / "word.txt"
    relative = importlib.resources.files(__package__) / "assets" / "word.txt"
    beside = Path(__file__).with_name("assets") / "word.txt"
    return found.read_text() + relative.read_text() + beside.read_text()
"""
    models = [load(write(f"at-{word}", code, {"assets/word.txt": word})) for word in "xy"]

    assert [told(model) for model in models] == ["xxx", "yyy"]


def test_a_changed_helper_is_read_anew_even_at_the_same_size_and_time(write: Write) -> None:
    folder = write("changing", LAZILY, {"utils.py": "LABEL = 'one'"})
    os.utime(folder / "utils.py", (1e9, 1e9))
    before = load(folder)
    assert told(before) == "one"
    (folder / "utils.py").write_text("LABEL = 'two'")
    os.utime(folder / "utils.py", (1e9, 1e9))

    after = load(folder)

    assert (told(before), told(after)) == ("one", "two")
    assert not list(folder.rglob("__pycache__"))


OF_A_PICKLE = """
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

HERE = Path(__file__).parent

def read():
    with (HERE / "thing.pkl").open("rb") as file:
        [thing, chance] = pickle.load(file)
    again = pickle.loads(pickle.dumps(thing))
    by_torch = torch.load(HERE / "thing.pt", weights_only=False)
    with (HERE / "thing.pkl").open("rb") as file:
        in_python = pickle._Unpickler(file).load()[0]
    return [type(one).WORD for one in (thing, again, by_torch, in_python)], type(chance).__name__

def label():
    with ThreadPoolExecutor() as threads:
        return threads.submit(read).result()
"""


def write_pickles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint as a training script beside the helpers would."""
    module = types.ModuleType("common")
    exec("class Thing: pass", module.__dict__)  # noqa: S102 (of the line above)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "common", module)
        thing = module.__dict__["Thing"]()
        (folder / "thing.pkl").write_bytes(pickle.dumps([thing, random.Random(0)]))  # noqa: S311
        torch.save(thing, folder / "thing.pt")


def test_pickles_of_the_folders_own_classes_are_read(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = []
    for word in "xy":
        helpers = {"common.py": f"class Thing: WORD = '{word}'", "random.py": ""}
        folder = write(f"pickled-{word}", OF_A_PICKLE, helpers)
        write_pickles(folder, monkeypatch)
        models.append(load(folder))

    assert [told(model) for model in models] == [f"({[word] * 4}, 'Random')" for word in "xy"]


IN_PROCESSES = """
import multiprocessing

from utils import work

def label():
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        return pool.map(work, range(3))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_of_a_predictor_run_the_code_of_its_folder(write: Write, method: str) -> None:
    helper = "import math as common\nfrom rest import PLUS\ndef work(x): return x * x + PLUS"
    models = [
        load(
            write(
                f"pool-{plus}",
                IN_PROCESSES.format(method=method),
                {"utils.py": helper, "rest.py": f"PLUS = {plus}"},
            )
        )
        for plus in (1, 2)
    ]

    assert [told(model) for model in models] == ["[1, 2, 5]", "[2, 3, 6]"]


ON_THE_PATH = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

import net

def label():
    import lazy
    return net.WORD + lazy.WORD
"""


def test_a_folder_that_is_put_on_the_path_of_python_belongs_to_its_model_alone(
    write: Write,
) -> None:
    before = list(sys.path)
    models = [
        load(
            write(
                f"path-{word}",
                ON_THE_PATH,
                {"src/net.py": f"WORD = '{word}'", "src/lazy.py": f"WORD = '{word}'"},
            )
        )
        for word in "xy"
    ]

    assert [told(model) for model in models] == ["xx", "yy"]
    assert sys.path == before
    with pytest.raises(ModelUnavailableError, match="No module named 'net'"):
        load(write("without", "import net\ndef label(): return 1"))


def test_architectures_have_each_their_own_layers(tmp_path: Path) -> None:
    network = "import torch\nfrom layers import SIGN\n\nclass Net(torch.nn.Module):\n"
    network += "    def __init__(self):\n        super().__init__()\n"
    network += "        self.bias = torch.nn.Parameter(torch.zeros(2))\n"
    network += "    def forward(self, images):\n"
    network += "        light = images.mean((1, 2, 3))[:, None] * 9\n"
    network += "        return self.bias + SIGN * torch.cat([light, -light], 1)\n"
    described = 'architecture = "network:Net"\nweights = "w.safetensors"\n'
    described += 'labels = ["light", "dark"]\n[preprocessing]\nresize = [2, 2]\n'
    described += "mean = [0.5, 0.5, 0.5]\nstd = [1.0, 1.0, 1.0]\n"
    answers = []
    for sign in (1, -1):
        folder = tmp_path / f"net{sign}"
        folder.mkdir()
        (folder / "network.py").write_text(network)
        (folder / "layers.py").write_text(f"SIGN = {sign}")
        (folder / "model.toml").write_text(described)
        save_file({"bias": torch.zeros(2)}, folder / "w.safetensors")
        [[best]] = classify(load(folder), [PIL.Image.new("RGB", (4, 4), "white")], top_k=1)
        answers.append(best.label)

    assert answers == ["light", "dark"]


def test_a_missing_helper_is_named(write: Write) -> None:
    with pytest.raises(ModelUnavailableError, match="No module named 'missing_helper'"):
        load(write("lacking", "import missing_helper\ndef label(): return 1"))


def test_who_is_no_folder_imports_and_reads_pickles_as_ever() -> None:
    assert by_name.import_module("random") is random
    assert by_name.import_module(".jobs", "common") is common.jobs
    assert pickle.loads(pickle.dumps(common.jobs.JobId)) is common.jobs.JobId  # noqa: S301 (our own)
