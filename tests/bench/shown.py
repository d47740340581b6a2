"""What a bench's command says on its two ways: as JSON, and as one page that needs nothing else."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class Shown(HTMLParser):
    """What a page says, and what it would load."""

    VOID = ("meta", "br", "line", "polyline")

    def __init__(self) -> None:
        super().__init__()
        self.words = ""
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def told_by(bench: str, *load: str, folder: Path) -> tuple[dict[str, Any], Shown]:
    """Run it as people do. It succeeds, its page is whole and loads nothing, and it leaves nothing behind."""
    page, data = folder / f"{bench}.html", folder / "data"
    data.mkdir()
    command = ("bench", bench, *load, "--data", str(data), "--json", "-", "--html", str(page))

    done = subprocess.run([sys.executable, "-m", "samvad", *command], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    assert list(data.iterdir()) == []
    shown = Shown()
    shown.feed(page.read_text(encoding="utf-8"))
    shown.close()
    assert shown.open == []
    assert not shown.tags & {"script", "link", "img", "iframe"}
    assert shown.addresses == []
    return json.loads(done.stdout), shown
