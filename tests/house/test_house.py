"""The house itself: what must be true of the repository, whatever the product does."""

import os
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

import samvad

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
LONGEST_DECISION = 30  # lines; who needs more has two decisions, or a guide

SOMEBODYS_FOLDER = re.compile(r"(?<![\w.])(/home/\w[\w.-]*/|/Users/\w|/roo[t]/|[A-Z]:\\Users\\)")
PLACE = re.compile(r"://|^\s*(-i|-f|--\S*index\S*|--find-links|--trusted-host)\b", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@cache
def committed() -> list[Path]:
    """What is in the repository, or would be with the next commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("this copy is not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="ignore")


def pins(lock: str) -> dict[str, str]:
    """Each package's line and its hashes, continuation lines joined."""
    lines = text_of(ROOT / lock).replace("\\\n", " ").splitlines()
    entries = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {entry.split("==")[0]: entry for entry in entries}


def test_no_file_names_a_folder_of_somebodys_machine():
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in committed()
        for match in SOMEBODYS_FOLDER.finditer(text_of(path))
    ]

    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_says_what_and_never_from_where(lock):
    assert not PLACE.search(text_of(ROOT / lock))


def test_the_package_says_the_version_that_pyproject_says():
    declared = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["version"]

    assert samvad.__version__ == declared


def test_there_is_no_lock_of_a_kind_that_names_a_package_index():
    """ADR 0006."""
    kinds = {"uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock", "package-lock.json"}

    assert {path.name for path in committed()} & kinds == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_is_pinned_and_has_a_hash(lock):
    loose = [name for name, entry in pins(lock).items() if "==" not in entry or "--hash=sha256:" not in entry]

    assert loose == []


def test_the_development_lock_holds_everything_that_runs():
    """bin/samvad takes a .venv made by bin/test as it is."""
    running, developing = (pins(lock) for lock in LOCKS)

    assert running.items() <= developing.items()


@pytest.mark.parametrize("script", ["bin/samvad", "bin/test", ".ci/run"])
def test_a_script_can_be_run_as_it_is_checked_out(script):
    assert os.access(ROOT / script, os.X_OK)


def test_the_readme_names_the_two_commands():
    readme = text_of(ROOT / "README.md")

    assert "bin/samvad" in readme
    assert "bin/test" in readme


def test_every_folder_of_the_package_is_seen_by_the_import_rules():
    """import-linter looks only into folders with an __init__.py; Alembic's are no package."""
    folders = {path.parent for path in (ROOT / "src/samvad").rglob("*.py") if "migrations" not in path.parts}

    assert [str(it.relative_to(ROOT)) for it in folders if not (it / "__init__.py").exists()] == []


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda it: it.stem)
def test_a_decision_is_short_and_says_what_why_and_what_it_costs(decision):
    lines = text_of(decision).splitlines()

    assert len(lines) <= LONGEST_DECISION
    assert re.fullmatch(rf"# {decision.name[:4]}\. \S.*", lines[0])
    assert re.fullmatch(r"(Accepted|Proposed|Replaced by \d{4}), \d{4}-\d\d-\d\d", lines[2])
    assert [line for line in lines if line.startswith("## ")] == [
        "## What we do",
        "## Why",
        "## What it costs",
    ]


def test_decisions_are_numbered_without_gap_or_repetition():
    assert [int(it.name[:4]) for it in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_every_word_of_the_glossary_is_there_once_and_explained():
    table = [line for line in text_of(ROOT / "docs/glossary.md").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    words = [row[0] for row in rows]

    assert [row for row in rows if len(row) != 5 or not all(row)] == []
    assert [word for word in words if not re.fullmatch(r"\*\*[^*]+\*\*", word)] == []
    assert sorted(words) == sorted(set(words))


def test_every_link_of_a_page_to_a_file_leads_somewhere():
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in committed()
        if page.suffix == ".md"
        for target in LINK.findall(text_of(page))
        if not re.match(r"[a-z]+:|#", target) and not (page.parent / target.split("#")[0]).exists()
    ]

    assert dead == []
