"""Code blocks of the documentation, as the tests run them."""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- run: (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and how it is to be run.

    `mark` is what a comment before it says, `<!-- run: ... -->`: nothing, `long` (only by
    `make test-docs`), or `no, ` and the reason why it cannot be run by a test.
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of one language, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: m.start()].count("\n") + 1, m["language"], m["text"], m["mark"] or "")
        for m in _BLOCK.finditer(text)
        if m["language"] == language
    ]
