"""Links between the pages of the documentation lead somewhere."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_LISTED: Final = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],  # noqa: S607
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
)
PAGES: Final = sorted(ROOT / name for name in _LISTED.stdout.splitlines())

# Code may hold brackets, and comments in its lines begin as headings do.
_CODE: Final = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_FENCED: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))

    assert [link for link in links if not _is_outside(link) and not _leads(page, link)] == []


def test_the_index_leads_to_every_page_of_the_folder() -> None:
    for index in (ROOT / "docs" / "README.md", ROOT / "docs" / "adr" / "README.md"):
        links = _LINK.findall(index.read_text(encoding="utf-8"))

        pages = {page.name for page in index.parent.glob("*.md")} - {index.name}
        assert pages <= set(links)


def test_a_link_that_leads_nowhere_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n\n```\n# no heading\n```\n\n## `A` thing, and more\n")

    assert _leads(page, "#a-thing-and-more")
    assert _leads(page, "page.md#a-title")
    assert not _leads(page, "#no-heading")
    assert not _leads(page, "other.md")


def _is_outside(link: str) -> bool:
    return re.match("[a-z]+:", link) is not None


def _leads(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes for the headings of *page*."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
