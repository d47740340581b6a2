"""The pages for people: the API reference and the guides, offline, under a strict policy."""

import hashlib
import hmac
import json
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
import typer.main
from standardwebhooks import WebhookVerificationError

from samvad import settings
from samvad.cli import app as commands
from samvad.domain.procedures import definition, model
from samvad.domain.procedures.files import PARTS, read_document
from samvad.domain.processes import where
from samvad.domain.webhooks.model import BACK_OFF_MS, SIGNATURE_HEADER, sign, signed_headers
from samvad.web.docs import GUIDES, Docs
from tests.harness import Product, asking
from tests.sandbox.wire import served

PAGES = sorted(it.stem for it in GUIDES.glob("*.md") if it.stem != "README")
BODY, SECRET = '{"text":"Grüße \\/ नमस्ते"}'.encode(), "a-secret-of-the-team"


@pytest.fixture
async def reader() -> AsyncIterator[httpx.AsyncClient]:
    async with served(Docs()) as url, asking(url) as client:
        yield client


async def test_the_reference_is_there_with_nothing_from_elsewhere(reader: httpx.AsyncClient) -> None:
    page = await reader.get("/docs")

    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://|<script>|<style|style=|onload=", page.text)
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        found = await reader.get(path)
        assert (found.status_code, found.headers["x-content-type-options"]) == (200, "nosniff"), path
    start = (await reader.get("/docs/assets/docs.js")).text
    assert '"/openapi.json"' in start
    bundle = (await reader.get("/docs/assets/swagger-ui-bundle.js")).text
    assert "SwaggerUIBundle" in bundle
    assert "3.1" in bundle, "it must read OpenAPI 3.1"


async def test_the_server_has_them_beside_the_api(product: Product) -> None:
    async with asking(product.base_url) as client:
        page, contract = await client.get("/docs"), await client.get("/openapi.json")

    assert page.headers["content-type"].startswith("text/html")
    assert contract.json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("page", ["", *PAGES])
async def test_a_guide_is_a_page_and_its_links_lead_somewhere(reader: httpx.AsyncClient, page: str) -> None:
    shown = await reader.get(f"/docs/guide/{page}")

    assert shown.status_code == 200
    assert "<h1>" in shown.text
    assert ".md" not in shown.text
    for link in re.findall(r'href="(/[^"]*)"', shown.text):
        assert (await reader.get(link)).status_code == 200, link


async def test_what_is_no_page_is_a_404_and_nothing_else_of_the_disk_is_shown(
    reader: httpx.AsyncClient,
) -> None:
    for path in (
        "/docs/assets/swagger-editor.js",
        "/docs/guide/..%2f..%2fpyproject",
        "/docs/guide/none",
        "/docs/x",
    ):
        reply = await reader.get(path)
        assert (reply.status_code, reply.json()["_data"]) == (404, []), path
    assert (await reader.post("/docs")).status_code == 405
    head = await reader.head("/docs")
    assert (head.status_code, head.content) == (200, b"")


def test_every_command_that_a_guide_or_the_readme_names_is_one() -> None:
    from samvad.cli import (  # noqa: F401
        access,
        accounts,
        backups,
        bench,
        demo,
        doctor,
        moving,
        operate,
        plugins,
        procedures,
        serve,
        webhooks,
    )

    root = typer.main.get_command(commands)
    texts = [*GUIDES.glob("*.md"), GUIDES.parents[1] / "README.md"]
    named = {
        (page.name, words)
        for page in texts
        for words in re.findall(r"(?:^|`|\./bin/)samvad ([a-z][^`\n#|&]*)", page.read_text(), re.MULTILINE)
    }

    unknown = [(page, words) for page, words in named if not is_command(root, words.split())]
    assert len(named) > 15
    assert unknown == []


def test_every_setting_is_on_its_page_with_its_default_and_no_other() -> None:
    page = (GUIDES / "settings.md").read_text()
    readme = (GUIDES.parents[1] / "README.md").read_text()
    rows = dict(re.findall(r"^\| `SAMVAD_([A-Z_]+)` \| ([^|]+) \|", page, re.MULTILINE))

    assert {name.lower() for name in rows} == set(settings._READ)
    assert set(re.findall(r"SAMVAD_([A-Z_]+)", readme)) <= set(rows)
    for it in fields(settings.Settings):
        if type(it.default) in (int, float) and it.name.upper() in rows:
            said = re.match(r"[\d.]+", rows[it.name.upper()])
            assert said is not None, it.name
            assert float(said[0]) == it.default, it.name
    back_off = rows["WEBHOOK_BACK_OFF_S"].strip("`")
    assert tuple(int(word) * 1000 for word in back_off.split(",")) == BACK_OFF_MS


def is_command(root: object, words: list[str]) -> bool:
    """Whether these words are a command with options that it has."""
    command = root
    while words and hasattr(command, "commands"):
        found = command.commands.get(words[0])
        if found is None:
            return False
        command, words = found, words[1:]
    options = {name for it in command.params for name in it.opts}  # type: ignore[attr-defined]
    return all(word in options for word in words if word.startswith("--"))


def test_the_python_of_the_guide_verifies_what_we_sign() -> None:
    names: dict[str, object] = {}
    exec(sample("python"), names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)

    assert is_genuine(BODY, sign(SECRET, BODY), SECRET)
    assert not is_genuine(BODY + b" ", sign(SECRET, BODY), SECRET)
    assert not is_genuine(BODY, "sha256=é", SECRET)


def test_the_python_for_standard_webhooks_verifies_what_we_send() -> None:
    names: dict[str, object] = {}
    exec(sample("python", 1), names)
    verified = names["verified"]
    assert callable(verified)
    now = time.time_ns() // 1_000_000
    headers = {
        name.lower(): value for name, value in signed_headers([SECRET], id="1", at=now, body=BODY).items()
    }

    assert verified(BODY, headers, SECRET) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        verified(BODY + b" ", headers, SECRET)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not here")
def test_the_typescript_of_the_guide_verifies_what_we_sign(tmp_path: Path) -> None:
    code = re.sub(
        r": (?:Buffer|string|boolean)\b", "", sample("typescript")
    )  # the types alone are not JavaScript
    asked = [[BODY.hex(), sign(SECRET, BODY)], [b"x".hex(), sign(SECRET, BODY)], [BODY.hex(), "short"]]
    asking = f"for (const [b, s] of {json.dumps(asked)}) console.log(isGenuine(Buffer.from(b, 'hex'), s, '{SECRET}'));"
    (tmp_path / "verify.mjs").write_text(f"{code}\n{asking}\n")

    said = subprocess.run(
        ["node", tmp_path / "verify.mjs"], capture_output=True, text=True, check=True
    ).stdout

    assert said.split() == ["true", "false", "false"]


def test_the_guide_tells_of_the_signature_as_it_is() -> None:
    words = (GUIDES / "webhooks.md").read_text()

    assert f"`{SIGNATURE_HEADER}`" in words
    assert sign(SECRET, BODY) == hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


def sample(language: str, number: int = 0) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", (GUIDES / "webhooks.md").read_text(), re.DOTALL)
    return str(found[number])


def test_the_businesses_of_the_sandbox_guide_are_ones_it_takes() -> None:
    import msgspec

    from samvad.sandbox import Sandbox
    from samvad.sandbox.__main__ import Config

    given = re.search(r"<<END\n(.*?)END\n", (GUIDES / "sandbox.md").read_text(), re.DOTALL)
    assert given is not None

    assert Sandbox(*msgspec.json.decode(given[1], type=Config).businesses)


def test_the_procedure_of_the_guide_is_one_and_uses_every_key_there_is() -> None:
    page = (GUIDES / "platform.md").read_text()
    document = read_document(page.split("```yaml\n")[1].split("```")[0])
    entities = {it.short_id: definition.entity_with_ids(it, None, id="1") for it in document.entities}

    problems = [it for one in entities.values() for it in definition.entity_problems(one)]
    for one in document.procedures:
        problems += definition.problems_of(definition.with_ids(one, None, id="1"), entities=entities)

    assert problems == []
    explained = set(re.findall(r"`(\w+)`", page.split("Every key there is:")[1].split("## Import")[0]))
    shapes: list[type[model.Shape]] = [shape for _, shape in PARTS.values()]
    keys = {key for shape in shapes for key in shape.__struct_encode_fields__}
    assert keys - explained == set()


def test_the_queries_of_the_guide_are_understood() -> None:
    page = (GUIDES / "platform.md").read_text()
    it = read_document(page.split("```yaml\n")[1].split("```")[0]).procedures[0]
    fields_of_it = where.Fields(
        attributes={one.short_id: one for one in it.attributes},
        states={one.short_id: one.short_id for one in it.states},
        users={"ada@example.com": "1"},
    )
    queries = re.findall(r"`({.*?})`", page.split("## The query language")[1].split("## Who")[0])

    assert len(queries) > 10
    for query in queries:
        where.parse(json.loads(query), fields_of_it)
