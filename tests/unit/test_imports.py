"""Imports point one way, and importing a module has no side effects."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = (
    "api",
    "common",
    "consumer",
    "courier",
    "standalone",
    "engine",
    "modeltools",
)
FILES: Final = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))

# Which of our modules a module may import, as patterns; the first match counts.
OURS: Final = {
    r"common\.settings\.base": "nothing",
    r"common\.settings\.shared": r"common\.settings\.base",
    r"common\.settings\.(api|courier)": r"common\.settings\.(base|shared)",
    r"common\.settings\.consumer": r"common\.(as_dict|cores|memory|settings\.(base|shared))",
    r"common\.settings(\..+)?": r"common\.(spelling|settings\..+)",
    r"common\.(as_dict|cores|errors|memory|formats|jobs|logs|pulse|text)": "nothing",
    r"common\.(retries|spelling|stopping)": "nothing",
    r"common\.workers": r"common\.jobs",
    r"common\.problems(\..+)?": r"common\.(jobs|problems(\..+)?)",
    r"common\.headers(\..+)?": r"common\.(errors|formats|headers(\..+)?)",
    r"common\.intake": r"common\.(errors|formats|headers\..+|jobs|problems(\..+)?)",
    r"common\.messages": r"common\.(jobs|errors)",
    r"common\.ports(\..+)?": r"common\.(jobs|messages|workers)",
    r"common\.mongo(\..+)?": r"common\.(?!rabbitmq).+",
    r"common\.rabbitmq(\..+)?": r"common\.(?!mongo).+",
    r"common": "nothing",
    # What consumers and engines exchange, and what starts an engine's process.
    r"consumer\.(errors|main|engines\.\w+|handler)": (
        r"common\..+|consumer(\..+)?|engine\.(decode_clock|extras|guard|protocol|serve)"
        r"|engine\.runtimes\.computing"
    ),
    r"modeltools(\..+)?": r"(common|engine|modeltools)(\..+)?",
    r"api\.(health|models|samples)\..+": (
        r"common\..+|api\.(openapi_parts|problems|schemas|\1\..+)"
    ),
    r"(api|consumer|courier|standalone|engine)(\..+)?": r"(common\..+|\1(\..+)?)",
}
# What is not part of the product, and which of our modules it may import.
BESIDE: Final = {
    r"testbed(\..+)?": r"(common|standalone|testbed)(\..+)?",
    r"benchmarks(\..+)?": r"(?!tests\b).+",
    # Drills also run in containers.
    r"tests\.(compose|drills)(\..+)?": r"(?!benchmarks\b).+",
    # Benchmarks have tests; the drills are tests themselves.
    r"tests(\..+)?": r"(?!tests\.(compose|drills)\b).+",
}
# Which of our modules may import a library.
THEIRS: Final = {
    r"flask|werkzeug|openapi_pydantic": r"api\..+",
    r"torch|torchvision|safetensors": r"engine\.(models|runtimes)\..+",
    r"onnxruntime": r"engine\.runtimes\.on_onnx|modeltools\.quantizing\.int8",
    r"onnx|ml_dtypes|tqdm": r"modeltools\.quantizing\..+",
    r"openvino": r"engine\.runtimes\.on_openvino",
    r"pika": r"common\.rabbitmq\..+|courier\.main",
    r"PIL": r"(engine|modeltools)\..+",
    r"pymongo|bson": r"common\.mongo\..+",
}


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            # `from common import logs` imports common.logs, but Job in common.jobs is no module.
            found |= {
                f"{node.module}.{alias.name}" if node.module in FOLDERS else str(node.module)
                for alias in node.names
            }
    return found


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_module_imports_only_what_lies_in_its_direction(file: Path) -> None:
    name = name_of(file)
    match = next(filter(None, (re.fullmatch(pattern, name) for pattern in OURS)))
    allowed = match.expand(OURS[match.re.pattern])

    ours = {imported for imported in imports_of(file) if imported.split(".")[0] in FOLDERS}

    assert {imported for imported in ours if not re.fullmatch(allowed, imported)} == set()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_library_is_imported_only_where_it_belongs(file: Path) -> None:
    forbidden = [
        library for library, places in THEIRS.items() if not re.fullmatch(places, name_of(file))
    ]

    libraries = {imported.split(".")[0] for imported in imports_of(file)}

    assert {name for name in libraries if re.fullmatch("|".join(forbidden), name)} == set()


def modules_imported_by(file: Path, modules: frozenset[str]) -> set[str]:
    """Return those of *modules* that *file* imports, even lazily or only for types."""
    named = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & modules
            named |= inner or {str(node.module)}
    return named & modules


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = frozenset(map(name_of, FILES))
    imports = {name_of(file): modules_imported_by(file, modules) for file in FILES}

    order = graphlib.TopologicalSorter(imports).static_order()

    assert set(order) == modules  # or it raises CycleError, which names the circle


@pytest.mark.parametrize("folder", ["testbed", "benchmarks", "tests"])
def test_tests_and_benchmarks_share_the_testbed_and_nothing_else(folder: str) -> None:
    strays = {
        name_of(file): imported
        for file in (ROOT / folder).rglob("*.py")
        for imported in imports_of(file)
        if imported.split(".")[0] in {*FOLDERS, "benchmarks", "testbed", "tests"}
        and not _may_import(name_of(file), imported)
    }

    assert strays == {}


def _may_import(name: str, imported: str) -> bool:
    allowed = next(BESIDE[pattern] for pattern in BESIDE if re.fullmatch(pattern, name))
    return re.fullmatch(allowed, imported) is not None


WATCH: Final = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        raise RuntimeError(event)

sys.addaudithook(refuse)
"""


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (scripts of this file)
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )


@pytest.mark.parametrize(
    "modules",
    [
        "api.app, api.openapi, api.page",
        "courier.__main__, courier.main",
        "consumer.__main__, consumer.main, engine.serve",
    ],
)
def test_no_process_but_the_engine_loads_torch(modules: str) -> None:
    ended = run(f"import sys, {modules}; print('torch' in sys.modules)")

    assert (ended.stdout, ended.stderr) == ("False\n", "")


def test_a_consumer_leaves_numbers_and_images_to_its_engines() -> None:
    ended = run(
        "import sys, consumer.main; print({'numpy', 'PIL', 'onnxruntime'} & set(sys.modules))"
    )

    assert (ended.stdout, ended.stderr) == ("set()\n", "")


def test_importing_neither_connects_nor_reads_settings() -> None:
    modules = ", ".join(name_of(file) for file in FILES if name_of(file) != "api.wsgi")

    ended = run(f"{WATCH}\nimport {modules}", DARKROOM_GRACE_S="bad, for whoever reads it")

    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_composition_root_of_the_api_reads_settings_when_it_is_imported() -> None:
    ended = run("import api.wsgi", DARKROOM_MAX_WAIT_S="a bad value")

    assert ended.returncode == 22  # at which uWSGI stops instead of trying again for ever
    assert ended.stderr.startswith("darkroom: DARKROOM_MAX_WAIT_S='a bad value' is invalid")
