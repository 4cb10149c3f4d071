"""Tables in Markdown, and their places in the documentation."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_into(page: Path, mark: str, text: str) -> None:
    """Replace the text between the two comments of *page* that name *mark*.

    Raises:
        ValueError: It has no such comments.
    """
    begin, end = f"<!-- begin: {mark} -->", f"<!-- end: {mark} -->"
    before, _, rest = page.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page} has no {begin} ... {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
