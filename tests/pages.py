"""The pages that people read: the README, docs/ and those beside them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = (
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "results/README.md")),
    *sorted(DOCS.rglob("*.md")),
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
EVERYTHING = "\n".join(TEXT.values())


def example(text: str) -> str:
    """The Python example of a page."""
    (found,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return found
