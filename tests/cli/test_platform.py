"""`samvad procedure`, `samvad import` and `samvad export`: what they show, what they ask, how they end."""

import asyncio
import csv
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from samvad.app import App
from samvad.domain.accounts.queries import teams_by_name
from samvad.domain.procedures.examples import EXAMPLES, example
from samvad.domain.processes import jobs_queries
from samvad.settings import from_environment
from tests.cli.test_cli import ROOT, Ended, Shell, environment, samvad, session

__all__ = ["samvad", "session"]

MANY = 600


@pytest.fixture
async def shell(samvad: Shell) -> Shell:
    (await samvad("team", "create", "Ada")).printed  # noqa: B018 — it asserts a good end
    return samvad


def written(folder: Path, text: str, name: str = "file.yaml", encoding: str = "utf-8") -> str:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return str(file)


def refused(ended: Ended) -> str:
    assert ended.code == 1, ended
    assert "Traceback" not in ended.err
    return ended.err


async def test_procedures_are_listed_shown_applied_and_exported(shell: Shell, tmp_path: Path) -> None:
    file = written(tmp_path, (await shell("procedure", "example", "ticket")).out)
    dry = await shell("procedure", "apply", file, "--dry-run")
    before = (await shell("procedure", "list")).printed
    applied = (await shell("procedure", "apply", file)).printed
    after = (await shell("procedure", "list")).printed
    shown = (await shell("procedure", "show", "ticket")).printed
    out = tmp_path / "out.yaml"
    exported = (await shell("procedure", "export", "ticket", "-o", str(out))).printed
    again = (await shell("procedure", "apply", str(out))).printed

    assert "+ procedure ticket" in dry.printed
    assert "dry run" in dry.printed
    assert "ticket" not in before
    assert "+ entity customer (4 attributes)" in applied
    assert "Applied: 2 changes." in applied
    assert "ticket" in after
    for words in (
        "Ticket (ticket)",
        "Primary key: ticket_id",
        "WAITING, SOLVED",
        "one of low, normal",
        "= count of tasks",
    ):
        assert words in shown, words
    assert exported == ""
    assert again == "Nothing to change."
    assert out.read_text() == (await shell("procedure", "export", "ticket")).out


async def test_every_mistake_of_a_file_is_shown_with_its_place(shell: Shell, tmp_path: Path) -> None:
    text = example("ticket").replace("type: date,", "typ: date,").replace("states:", "statess:", 1)

    said = refused(await shell("procedure", "apply", written(tmp_path, text)))
    wrong = refused(
        await shell(
            "procedure", "apply", written(tmp_path, example("ticket").replace("[NEW, OPEN]", "[NEWS, DONE]"))
        )
    )

    assert said.count("\n") == 3
    assert "procedure ticket: there is no key 'statess'; did you mean states?" in said
    assert "procedure ticket: attribute due_on: type is missing." in said
    assert "procedure ticket: task reply: state 'NEWS' is not one" in wrong
    assert "procedure ticket: task reply: state 'DONE' is not one" in wrong
    assert (
        "cannot be read: No such file"
        in (await shell("procedure", "apply", str(tmp_path / "none.yaml"))).mistake
    )
    assert (
        "is not UTF-8"
        in (await shell("procedure", "apply", written(tmp_path, "ä: 1", encoding="cp1252"))).mistake
    )
    assert f"there are: {', '.join(EXAMPLES)}" in (await shell("procedure", "example", "no")).mistake
    assert "there are: lead" in (await shell("procedure", "show", "no")).mistake
    assert "There are: lead" in (await shell("procedure", "export", "no")).mistake


async def test_what_would_be_lost_is_named_and_needs_force(shell: Shell, tmp_path: Path) -> None:
    rows = written(tmp_path, "name,city\nAda,Goa\nBob,\n", "leads.csv")
    (await shell("import", rows, "--procedure", "lead", "--yes")).printed  # noqa: B018
    less = "\n".join(it for it in example("lead").splitlines() if "shortId: city" not in it)
    file = written(tmp_path, less)

    stopped = await shell("procedure", "apply", file)
    dry = await shell("procedure", "apply", file, "--dry-run")
    kept = (await shell("export", "--procedure", "lead")).out
    forced = (await shell("procedure", "apply", file, "--force")).printed

    assert "! procedure lead: attribute city (goes): 1 process loses its value." in stopped.out
    assert "Nothing was changed. With --force" in refused(stopped)
    assert refused(dry)
    assert "Goa" in kept
    assert "- procedure lead: attribute city" in forced
    assert "Goa" not in (await shell("export", "--procedure", "lead")).out


async def test_a_file_is_imported_its_bad_rows_are_written_aside_and_mended_ones_taken(
    shell: Shell, tmp_path: Path
) -> None:
    rows = [f"Ada {number};+1555{number:07d};{number};" for number in range(MANY)]
    rows[3] = 'Eve;+15559999999;"many";'
    rows[500] = "Eve;5;5;"
    file = written(
        tmp_path, "\r\n".join(["Full name;Mobile;Points;", *rows, "", ";;;"]), "leads.csv", "utf-8-sig"
    )
    bad = tmp_path / "leads.errors.csv"

    dry = await shell("import", file, "--procedure", "lead", "--map", "Points=score", "--dry-run")
    tried = (await shell("export", "--procedure", "lead")).out
    bad.unlink()
    ended = await shell("import", file, "--procedure", "lead", "--map", "Points=score", "--yes")
    aside = list(csv.reader(bad.read_text().splitlines(), delimiter=";"))
    mended = written(
        tmp_path, bad.read_text().replace("many", "7").replace("Eve;5;", "Bob;+15550009999;"), "m.csv"
    )
    taken = await shell("import", mended, "--procedure", "lead", "--map", "Points=score", "--yes")

    assert (dry.code, ended.code, ended.err) == (1, 1, "")
    assert "598 rows would be stored; 2 failed" in dry.out
    assert tried.count("\n") == 1
    for words in (
        "Mobile",
        "phone_number",
        "(column 4)",
        "– not read –",
        "LEAD-000001",
        "2 would fail",
        "line 5: score must",
    ):
        assert words in ended.out, words
    assert "598 rows stored; 2 failed" in ended.out
    assert aside[0] == ["Full name", "Mobile", "Points", "", "error"]
    assert [it[0] for it in aside[1:]] == ["Eve", "Eve"]
    assert 'score must be a whole number; got "many".' in aside[1][4]
    assert "2 rows stored; 0 failed." in taken.printed
    assert (await shell("export", "--procedure", "lead")).out.count("\n") == MANY + 1


async def test_an_export_reads_back_and_is_narrowed_by_a_query(shell: Shell, tmp_path: Path) -> None:
    made = 'lead_id,name,city,state\nL-1,"=1+1 ""x""\n",Goa,NEW\nL-2,Bob,Pune,CONVERTED\n'
    (await shell("import", written(tmp_path, made, "a.csv"), "--procedure", "lead", "--yes")).printed  # noqa: B018
    out = tmp_path / "out.csv"

    (await shell("export", "--procedure", "lead", "-o", str(out))).printed  # noqa: B018
    some = (await shell("export", "--procedure", "lead", "--where", '{"city": "Pune"}')).out
    (await shell("team", "create", "Babbage")).printed  # noqa: B018
    elsewhere = ["--procedure", "lead", "--team", "Babbage"]
    (await shell("import", str(out), *elsewhere, "--yes")).printed  # noqa: B018
    changed = written(tmp_path, "Lead id,city\nL-2,Delhi\n", "b.csv")
    updated = (await shell("import", changed, *elsewhere, "--update", "--yes")).printed

    assert [it[0] for it in csv.reader(some.splitlines())] == ["lead_id", "L-2"]
    assert "1 row changed; 0 failed." in updated
    (await shell("export", *elsewhere, "-o", str(tmp_path / "again.csv"))).printed  # noqa: B018
    again = (tmp_path / "again.csv").read_bytes()
    assert again == out.read_bytes().replace(b"Pune", b"Delhi")


async def test_what_cannot_be_imported_or_exported_is_told(shell: Shell, tmp_path: Path) -> None:
    good = written(tmp_path, "name\nAda\n", "good.csv")
    old = written(tmp_path, "name\nJosé\n", "old.csv", "cp1252")
    lead = ["--procedure", "lead"]

    for words, said in (
        (["import", good, *lead], "Nobody is here to be asked: say --yes"),
        (["import", good, "--procedure", "leed", "--yes"], "no procedure 'leed'; did you mean lead?"),
        (["import", str(tmp_path / "no.csv"), *lead], "cannot be read: No such file"),
        (["import", str(tmp_path), *lead], "cannot be read: Is a directory"),
        (["import", old, *lead, "--yes"], "--encoding cp1252"),
        (["import", good, *lead, "--encoding", "x"], "There is no encoding 'x'"),
        (["import", good, *lead, "--delimiter", "||"], "--delimiter must be one character"),
        (["import", good, *lead, "--map", "name"], "--map is like"),
        (["import", good, *lead, "--map", "nme=city"], "no column 'nme'; did you mean name?"),
        (["import", good, *lead, "--errors", good], "must be another file"),
        (["import", good, *lead, "--update"], "which process is meant: id or lead_id or phone_number"),
        (["import", written(tmp_path, "a,b\n1,2", "b.csv"), *lead], "No column is an attribute of lead"),
        (["import", written(tmp_path, "", "c.csv"), *lead], "The file is empty"),
        (["export", *lead, "--where", "x"], "--where is not JSON"),
        (["export", *lead, "--where", '{"citty": 1}'], "did you mean city?"),
        (["export", *lead, "-o", str(tmp_path / "a" / "b")], "cannot be written: No such file"),
    ):
        ended = await shell(*words)
        assert said in refused(ended), words
    assert "José" not in (await shell("export", *lead)).out

    taken = await shell("import", old, *lead, "--yes", "--encoding", "cp1252")
    wide = written(tmp_path, "name\tcity\nÀda\tGoa\n", "wide.csv", "utf-16")
    assert "1 row stored" in (await shell("import", wide, *lead, "--yes")).printed
    assert "1 row stored" in taken.printed
    assert "José" in (await shell("export", *lead)).out


async def test_no_rule_of_access_keeps_the_command_line_out(shell: Shell, tmp_path: Path) -> None:
    (await shell("access", "set", "procedure", "lead", "none", "--scope", "all")).printed  # noqa: B018

    (await shell("import", written(tmp_path, "name\nAda\n", "a.csv"), "--procedure", "lead", "--yes")).printed  # noqa: B018

    assert "Ada" in (await shell("export", "--procedure", "lead")).out


async def test_an_import_is_a_background_job_of_the_api(shell: Shell, tmp_path: Path) -> None:
    (await shell("import", written(tmp_path, "name\nAda\n", "a.csv"), "--procedure", "lead", "--yes")).printed  # noqa: B018

    app = App(from_environment(shell.settings))
    (team,) = await app.db.read(teams_by_name)
    (job,) = await app.db.team(team.id).read(jobs_queries.jobs_newest_first, limit=5)
    await app.cloud.close()
    await app.db.close()
    assert (job.status, job.total, job.kind) == ("SUCCESS", 1, "bulk-create")


async def test_at_a_terminal_one_is_asked_and_a_file_may_come_through_a_pipe(
    shell: Shell, tmp_path: Path
) -> None:
    file = written(tmp_path, example("ticket"))

    no, said = at_a_terminal(shell, ["procedure", "apply", file], "n\n")
    assert (no, "Apply this?" in said) == (1, True)
    assert "ticket" not in (await shell("procedure", "list")).printed
    yes, said = at_a_terminal(shell, ["procedure", "apply", file], "y\n")
    assert (yes, "Applied: 2 changes." in said) == (0, True)
    assert "\x1b[" in said, "it is coloured"
    piped = await asyncio.to_thread(through_a_pipe, shell, ["procedure", "apply", "-"], example("fieldvisit"))
    assert "Applied: 2 changes." in piped


def through_a_pipe(shell: Shell, words: list[str], text: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "samvad", *words],
        input=text,
        env=environment() | shell.settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def at_a_terminal(shell: Shell, words: list[str], typed: str) -> tuple[int, str]:
    """A command with somebody before the screen: its exit code and what stood there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "samvad", *words]
    env = environment() | shell.settings | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        seen = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # the other end is gone
                break
            if not more:
                break
            seen += more
    os.close(ours)
    return process.returncode, seen.decode(errors="replace")
