"""What stands on a card, read back from its Markdown."""

from collections.abc import Iterator

import yaml


def section(text: str, title: str) -> str:
    """The text below a heading, up to the next one of its rank."""
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """Every table as rows by the words of its head."""
    block: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            block.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif block:
            head, _, *rows = block
            yield [dict(zip(head, row, strict=True)) for row in rows]
            block = []


def number(cell: str) -> int:
    """A number of a card."""
    return int(cell.replace(",", ""))


def front(text: str) -> dict[str, object]:
    """The YAML at the head."""
    loaded = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(loaded, dict)
    return loaded
