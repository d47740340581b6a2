"""The command line: what it prints, how it ends, and that a mistake is a sentence and exit code 1."""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.harness import BUSINESS, OTHER_BUSINESS, SEALING_KEY, copy_file, running, until

ROOT = Path(__file__).parents[2]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GOOD = "correct horse"


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def printed(self) -> str:
        """What a good end printed, and nothing but that."""
        assert (self.code, self.err) == (0, ""), self
        return self.out.strip()

    @property
    def mistake(self) -> str:
        """The sentence of a bad end: on stderr, in one line, without a traceback, with exit code 1."""
        assert (self.code, self.out) == (1, ""), self
        assert "Traceback" not in self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.strip()


@dataclass
class Shell:
    """A person at the keyboard of one installation."""

    process: "subprocess.Popen[str]"
    settings: dict[str, str]

    async def __call__(self, *words: str) -> Ended:
        return await asyncio.to_thread(self._run, words)

    def _run(self, words: Sequence[str]) -> Ended:
        asked, answers = self.process.stdin, self.process.stdout
        assert asked is not None
        assert answers is not None
        asked.write(json.dumps({"words": words, "settings": self.settings}) + "\n")
        asked.flush()
        return Ended(**json.loads(answers.readline()))


@pytest.fixture(scope="module")
def session() -> "Iterator[subprocess.Popen[str]]":
    """One process that runs the commands of all these tests."""
    command = [sys.executable, "-m", "tests.cli.session"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def environment() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SAMVAD_")}
    return ours | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def settings_of(url: str, folder: Path, **more: str) -> dict[str, str]:
    places = {"data_dir": str(folder), "database_url": url, "secret_key": SEALING_KEY, **more}
    return {f"SAMVAD_{name.upper()}": it for name, it in places.items()}


@pytest.fixture
def samvad(session: "subprocess.Popen[str]", migrated_sqlite: Path, tmp_path: Path) -> Shell:
    """`samvad` with an empty database of its own, and no Cloud API to be found."""
    url = copy_file(migrated_sqlite, tmp_path / "samvad.db")
    return Shell(session, settings_of(url, tmp_path, graph_url="http://127.0.0.1:1"))


async def test_a_team_its_people_and_its_keys_are_made_and_listed(samvad: Shell) -> None:
    team = (await samvad("team", "create", "Ada's [Kitchen]")).printed
    person = ["ada@kitchen.example", "--name", "Ada [of] Kitchen", "--role", "Admin", "--password", GOOD]
    user = (await samvad("user", "create", *person)).printed
    token = (await samvad("key", "create", "[till]", "--role", "Agent", "--expires-in-days", "7")).printed
    secret = (await samvad("team", "secret", "--team", team)).printed

    users, keys = (await samvad("user", "list")).printed, (await samvad("key", "list")).printed
    assert UUID.fullmatch(team)
    assert UUID.fullmatch(user)
    assert re.fullmatch(r"[A-Za-z0-9]{64}", token)
    assert re.fullmatch(r"[0-9a-f]{64}", secret)
    for cell in (user, "ada@kitchen.example", "Ada [of] Kitchen", "Admin", "yes"):
        assert cell in users, cell
    assert "[till]" in keys
    assert token not in keys

    key = UUID.search(keys)
    assert key is not None
    assert (await samvad("key", "revoke", key[0])).printed == ""
    assert "revoked before" in (await samvad("key", "revoke", key[0])).mistake
    assert (await samvad("user", "password", "ada@kitchen.example", "--password", f"{GOOD}!")).printed == ""
    assert (await samvad("user", "deactivate", "ada@kitchen.example")).printed == ""
    assert re.search(r"│ no\s+│", (await samvad("user", "list")).printed)


async def test_a_password_is_kept_as_what_argon2_makes_of_it_at_full_cost(samvad: Shell) -> None:
    await samvad("team", "create", "Ada's Kitchen")
    (await samvad("user", "create", "ada@kitchen.example", "--password", GOOD)).printed  # noqa: B018

    file = samvad.settings["SAMVAD_DATABASE_URL"].removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file)) as db:
        ((kept,),) = db.execute('select password_hash from "user"')

    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PasswordHasher().verify(kept, GOOD)


async def test_people_change_report_to_each_other_go_and_come_back(samvad: Shell) -> None:
    (await samvad("team", "create", "Ada")).printed  # noqa: B018 — it asserts a good end
    password = ["--password", GOOD]
    for name in ("ada", "sam"):
        email = f"{name}@kitchen.example"
        names = ["--first-name", name.title(), "--last-name", "King", "--username", name]
        assert UUID.fullmatch((await samvad("user", "create", email, *names, *password)).printed)
    assert UUID.fullmatch((await samvad("role", "create", "Cook", "--type", "MANAGER")).printed)

    for words in (
        ["user", "change", "sam", "--role", "Cook", "--name", "Sam the [Cook]", "--phone", "+1 555 000 1111"],
        ["user", "availability", "sam@kitchen.example", "ON_BREAK"],
        ["user", "reports-to", "sam", "ada"],
        ["user", "deactivate", "sam"],
    ):
        assert (await samvad(*words)).printed == "", words
    listed = (await samvad("user", "list")).printed
    sam = next(line for line in listed.splitlines() if "sam@" in line)
    cells = ["sam", "sam@kitchen.example", "Sam the [Cook]", "Cook", "no", "ON_BREAK", "ada"]
    assert [cell.strip() for cell in sam.split("│")[2:-1]] == cells
    assert "Ada King" in listed
    assert re.search(r"Cook\s+│ MANAGER", (await samvad("role", "list")).printed)

    assert (await samvad("user", "activate", "sam")).printed == ""
    assert (await samvad("user", "reports-to", "sam")).printed == ""
    assert (await samvad("user", "delete", "sam")).printed == ""
    assert "sam@" not in (await samvad("user", "list")).printed
    assert "sam@" in (await samvad("user", "list", "--deleted")).printed
    assert (await samvad("user", "restore", "sam")).printed == ""
    for words, said in (
        (["user", "restore", "sam"], "Nobody called sam was deleted"),
        (["user", "reports-to", "sam", "sam"], "nobody reports to themselves"),
        (["user", "availability", "sam", "ASLEEP"], "AVAILABLE, NOT_AVAILABLE, ON_BREAK"),
        (["user", "change", "sam", "--username", "ada"], "name or address ada already"),
        (["user", "change", "sam", "--first-name", ""], "must not be empty"),
        (["user", "create", "ada", *password], "is not an e-mail address"),
        (["user", "create", "b@c.example", "--username", "sam@kitchen.example", *password], "already"),
        (["role", "create", "Cook"], "There is a role named 'Cook' already."),
        (["role", "create", "Chef", "--type", "BOSS"], "ADMIN, MANAGER, USER"),
    ):
        assert said in (await samvad(*words)).mistake, words


async def test_pods_and_rules_of_access_are_made_listed_and_taken_away(samvad: Shell) -> None:
    (await samvad("team", "create", "Ada")).printed  # noqa: B018 — it asserts a good end
    await samvad("user", "create", "ada@kitchen.example", "--username", "ada", "--password", GOOD)

    pod = (await samvad("pod", "create", "Sales")).printed
    for words in (["pod", "add", "Sales", "ada"], ["pod", "add", pod, "ada"], ["pod", "rename", pod, "Help"]):
        assert (await samvad(*words)).printed == "", words
    assert re.search(rf"{pod} │ Help\s+│ ada", (await samvad("pod", "list")).printed)
    assert (await samvad("pod", "remove", "Help", "ada")).printed == ""
    rule = (await samvad("access", "set", "procedure", "lead", "none")).printed
    finer = ["--part", "chat", "--scope", "user", "--whose", "ada"]
    other = (await samvad("access", "set", "procedure", "lead", "assigned-to", *finer)).printed
    assert (await samvad("access", "set", "procedure", "lead", "view-only")).printed == rule
    listed = (await samvad("access", "list")).printed
    for line in (
        rf"{rule} │ procedure\s+│ lead\s+│\s+│ team\s+│\s+│ view-only",
        rf"{other} │ procedure\s+│ lead\s+│ chat\s+│ user\s+│ {UUID.pattern}\s+│ assigned-to",
    ):
        assert re.search(line, listed), line
    assert (await samvad("access", "remove", rule)).printed == ""
    assert rule not in (await samvad("access", "list")).printed

    for words, said in (
        (["pod", "create", "Help"], "There is a pod named 'Help' already."),
        (["pod", "create", " "], "A pod needs a name"),
        (["pod", "add", "Sales", "ada"], "No pod 'Sales'"),
        (["pod", "remove", "Help", "ada"], "ada is no member of Help."),
        (["access", "remove", rule], "No access rule"),
        (["access", "set", "procedure", "lead", "some"], "own-and-reportees"),
        (["access", "set", "procedure", "laed", "all"], "did you mean lead?"),
        (["access", "set", "statetask", "call", "all"], "lead/call"),
        (["access", "set", "folder", "lead", "all"], "procedure, statetask, entity"),
        (["access", "set", "procedure", "lead", "all", "--scope", "role"], "needs a name"),
    ):
        assert said in (await samvad(*words)).mistake, words


async def test_a_mistake_is_a_sentence_and_exit_code_1(samvad: Shell) -> None:
    short = ["--password", "1234567"]
    good = ["--password", GOOD]
    assert "there are: none yet" in (await samvad("user", "list")).mistake
    (await samvad("team", "create", "[/red]")).printed  # noqa: B018 — it asserts a good end
    assert "create one first" in (await samvad("key", "create", "till")).mistake
    (await samvad("user", "create", "ada@kitchen.example", *good)).printed  # noqa: B018

    for words, said in (
        (["team", "create", "[/red]"], "There is a team named '[/red]' already."),
        (["team", "create", " "], "A team needs a name."),
        (["team", "secret", "--team", "Nobody"], "there are: '[/red]'"),
        (["user", "create", "ada@kitchen.example", *good], "ada@kitchen.example already"),
        (["user", "create", "bob@kitchen.example", *short], "at least 8 characters"),
        (["user", "create", "bob[/]", *good], "'bob[/]' is not an e-mail address"),
        (
            ["user", "create", "bob@kitchen.example", "--role", "Boss", *good],
            "there are Admin, Manager, Agent",
        ),
        (["user", "password", "ada@kitchen.example", *short], "at least 8 characters"),
        (
            ["user", "password", "bob@kitchen.example", *good],
            "No user with the name or address bob@kitchen.example",
        ),
        (
            ["user", "deactivate", "bob@kitchen.example"],
            "No user with the name or address bob@kitchen.example",
        ),
        (["key", "create", "till", "--user", "bob@kitchen.example"], "No user with the name or address bob@"),
        (["key", "create", "", "--user", "ada@kitchen.example"], "A key needs a name"),
        (["key", "create", "till", "--role", "Boss"], "No role named 'Boss'"),
        (["key", "revoke", "nothing"], "No key nothing in this team"),
        (["connect", *connecting(waba_id="7/../8")], "'7/../8' is no id of the Cloud API"),
        (["connect", *connecting(app_secret=" ")], "without it no webhook could be trusted"),
        (["connect", *connecting(token="two words")], "has characters no token has"),
        (["connect", *connecting()], "The Cloud API could not be asked"),
    ):
        assert said in (await samvad(*words)).mistake, words


async def test_a_team_must_be_named_only_where_there_are_several(samvad: Shell) -> None:
    ids = [(await samvad("team", "create", name)).printed for name in ("Ada", "Charles")]

    assert "there are: 'Ada', 'Charles'" in (await samvad("team", "secret")).mistake
    secrets = [(await samvad("team", "secret", "--team", it)).printed for it in ("Ada", ids[0], "Charles")]
    assert secrets[0] == secrets[1] != secrets[2]


async def test_what_is_no_command_is_explained_with_exit_code_2(samvad: Shell) -> None:
    for words, said in (
        (["replay"], "Say what to replay"),
        (["replay", "--since", "yesterday"], "2026-01-31T12:00"),
        (["replay", "--event", "9" * 30], "--event"),
        (["key", "create", "till", "--expires-in-days", "0"], "--expires-in-days"),
        (["fly"], "No such command"),
    ):
        ended = await samvad(*words)
        assert ended.code == 2, words
        assert said in ended.err, words


def test_an_installation_begins_with_its_first_command(tmp_path: Path) -> None:
    """In a folder that did not exist; and the schema is today's, and nothing is open."""
    folder = tmp_path / "new"

    ended = subprocess.run(
        [sys.executable, "-m", "samvad", "audit", "--data", str(folder)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert not any(json.loads(ended.stdout).values())
    assert (folder / "secret.key").stat().st_mode & 0o077 == 0


def test_the_list_of_commands_is_there_before_the_product_is_read() -> None:
    program = "import sys\ntry:\n    from samvad.cli import main; main()\nfinally:\n    print(*sys.modules)"

    ended = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    heavy = {"samvad.app", "sqlalchemy", "aiohttp", "starlette", "uvicorn", "obstore"}
    assert "doctor" in ended.stdout
    assert heavy & set(ended.stdout.split()) == set()


async def test_migrating_says_where_the_schema_is(samvad: Shell) -> None:
    assert re.fullmatch(r"The schema is at revision \d{4}\.", (await samvad("migrate")).printed)


async def test_beside_a_running_server_a_number_is_connected_and_the_past_read_again(
    session: "subprocess.Popen[str]", migrated_sqlite: Path, tmp_path: Path
) -> None:
    url = copy_file(migrated_sqlite, tmp_path / "samvad.db")
    async with running(url, tmp_path) as product:
        meta = {"graph_url": product.sandbox_url, "public_url": product.base_url}
        samvad = Shell(session, settings_of(url, tmp_path, **meta))
        await product.customer_writes("to Ada")
        await until(product.listed)
        (await samvad("team", "create", "Babbage")).printed  # noqa: B018 — it asserts a good end
        wrong = await samvad("connect", *connecting(token="EAAwrong-token"), "--team", "Babbage")
        taken = await samvad("connect", *connecting(BUSINESS), "--team", "Babbage")
        connected = await samvad("connect", *connecting(), "--team", "Babbage")
        again = json.loads((await samvad("connect", *connecting(), "--team", "Babbage", "--json")).printed)
        replayed = []
        for words in WHAT_TO_REPLAY:
            replayed.append((await samvad("replay", *words)).printed[0])
            await product.settle()
        audit = json.loads((await samvad("audit")).printed)

        assert "access token" in wrong.mistake
        assert "by another team" in taken.mistake
        assert connected.printed.endswith(again["callbackUrl"])
        assert again["callbackUrl"] == f"{product.base_url}/webhooks/whatsapp/{again['pluginId']}"
        assert set(again) == {"pluginId", "callbackUrl", "verifyToken"}
        assert replayed == ["1", "1", "0", "0", "1", "0"]
        assert [it["text"] for it in await product.listed()] == ["to Ada"]
        assert (audit["messages"], audit["distinctWamids"]) == (1, 1)
        assert audit["inboundProblems"] == audit["ambiguousSends"] == []


WHAT_TO_REPLAY = (
    ["--all"],
    ["--event", "1"],
    ["--event", "99"],
    ["--problems"],
    ["--since", "2026-01-31T12:00"],
    ["--since", "2999-01-31T12:00+05:30"],
)


def connecting(business: object = OTHER_BUSINESS, **other: str) -> list[str]:
    """The options of `samvad connect` for a business."""
    assert isinstance(business, type(OTHER_BUSINESS))
    given = {
        "waba_id": business.waba_id,
        "phone_number_id": business.phone_numbers[0].id,
        "token": business.access_token,
        "app_secret": business.app_secret,
    }
    return [word for name, it in (given | other).items() for word in (f"--{name.replace('_', '-')}", it)]
