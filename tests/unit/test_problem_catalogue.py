"""Problem types are defined once; pages and configuration are generated from the catalogue."""

import ast
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from common.problems import page
from common.problems.catalogue import CATALOGUE
from common.problems.types import HttpProblem, Problem
from standalone import nginx_problems

ROOT: Final = Path(__file__).parents[2]
FILES: Final = sorted(
    file
    for folder in ("api", "common", "consumer", "courier", "standalone", "engine")
    for file in (ROOT / folder).rglob("*.py")
    if file.parent != ROOT / "common" / "problems"
)


def test_each_problem_has_a_name_and_a_title_of_its_own() -> None:
    assert max(Counter(one.name for one in CATALOGUE).values()) == 1
    assert max(Counter(one.title for one in CATALOGUE).values()) == 1


@pytest.mark.parametrize("problem", CATALOGUE, ids=lambda problem: problem.name)
def test_each_problem_is_on_the_page(problem: Problem) -> None:
    texts = [problem.in_jobs]
    if isinstance(problem, HttpProblem):
        texts += [problem.in_answers, problem.from_nginx]

    assert any(texts)
    assert sum(f"| `{problem.name}` |" in line for line in page.page().splitlines()) == len(
        [text for text in texts if text]
    )


def test_the_page_is_made_of_the_catalogue() -> None:
    assert page.PATH.read_text() == page.page(), "run: python -m common.problems.page"


def test_what_nginx_answers_by_itself_is_made_of_the_catalogue() -> None:
    template = nginx_problems.TEMPLATE.read_text()

    assert nginx_problems.with_own_answers(template) == template, (
        "run: python -m standalone.nginx_problems"
    )


def test_all_that_stands_between_the_marks_of_the_template_is_replaced() -> None:
    template = nginx_problems.TEMPLATE.read_text()
    assert template.count("urn:darkroom:problem:") == len(nginx_problems.OWN_ANSWERS)

    changed = template.replace("urn:darkroom:problem:not-found", "urn:darkroom:problem:changed")

    assert nginx_problems.with_own_answers(changed) == template


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_name_or_title_is_written_a_second_time(file: Path) -> None:
    written = {
        node.value
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert (
        written & {text for one in CATALOGUE for text in (one.name, one.title, one.type)} == set()
    )
