"""The API reference with its try-it, and the guides, as pages; nothing on them comes from elsewhere.

The reference is Swagger UI, out of a package that carries it, reading our own /openapi.json.
"""

import re
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path

from markdown_it import MarkdownIt
from starlette.types import Receive, Scope, Send

from samvad.asgi.errors import error_reply, not_allowed
from samvad.asgi.replies import Reply
from samvad.kit.errors import NotFound

PREFIX = "/docs"
GUIDES = Path(__file__).resolve().parents[3] / "docs" / "guide"
OURS = Path(__file__).parent / "assets"
INDEX = "README"
ASSETS = {  # no other file of the package is served
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "swagger-ui.css": b"text/css; charset=utf-8",
    "favicon-32x32.png": b"image/png",
    "docs.js": b"text/javascript; charset=utf-8",
    "docs.css": b"text/css; charset=utf-8",
}
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
HTML = (b"content-type", b"text/html; charset=utf-8")
AN_HOUR = (b"cache-control", b"public, max-age=3600")

_guide = re.compile(r"/docs/guide/([a-z][a-z0-9-]*)")


def is_ours(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


class Docs:
    """The ASGI application of /docs and what is below it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = _answer(scope["method"], scope["path"])
        except Exception as error:
            reply = error_reply(error)
        if scope["method"] == "HEAD":
            reply = Reply(reply.status, b"", reply.headers)
        await reply.send(send)


def _answer(method: str, path: str) -> Reply:
    if method not in ("GET", "HEAD"):
        return not_allowed("These are pages to read; ask with GET.", allow="GET")
    if path == PREFIX:
        return _page("API reference", '<div id="reference"></div>', script=True)
    if path.startswith(f"{PREFIX}/assets/") and (name := path.rpartition("/")[2]) in ASSETS:
        return Reply(200, _asset(name), ((b"content-type", ASSETS[name]), AN_HOUR, *SAFE))
    if path in (f"{PREFIX}/guide", f"{PREFIX}/guide/"):
        return _page(*guide(INDEX))
    if (found := _guide.fullmatch(path)) and (GUIDES / f"{found[1]}.md").is_file():
        return _page(*guide(found[1]))
    raise NotFound("No such page; /docs is the API reference and /docs/guide lists the guides.")


@cache
def guide(name: str) -> tuple[str, str]:
    """Title and HTML of a guide. Links between guides lead to their pages; HTML in the text is shown as text."""
    words = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(words)
    for token in (it for block in tokens for it in block.children or () if it.type == "link_open"):
        token.attrSet("href", re.sub(r"^([a-z-]+)\.md", rf"{PREFIX}/guide/\1", str(token.attrGet("href"))))
    title = words.partition("\n")[0].lstrip("# ")
    return title, f"<main>{markdown.renderer.render(tokens, markdown.options, {})}</main>"


def _page(title: str, body: str, *, script: bool = False) -> Reply:
    sheets = ["swagger-ui.css", "docs.css"] if script else ["docs.css"]
    scripts = ["swagger-ui-bundle.js", "docs.js"] if script else []
    head = [f'<link rel="stylesheet" href="{PREFIX}/assets/{it}">' for it in sheets]
    head += [f'<script defer src="{PREFIX}/assets/{it}"></script>' for it in scripts]
    html = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Samvad</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="{PREFIX}/assets/favicon-32x32.png">{"".join(head)}</head><body>'
        f'<nav><a href="{PREFIX}">API reference</a> <a href="{PREFIX}/guide">Guides</a></nav>{body}</body></html>\n'
    )
    return Reply(200, html.encode(), (HTML, *SAFE))


@cache
def _asset(name: str) -> bytes:
    if (OURS / name).is_file():
        return (OURS / name).read_bytes()
    found = find_spec("swagger_ui")  # found and not imported: only its files are wanted
    assert found is not None, "swagger-ui-py is in the lock"
    assert found.submodule_search_locations
    return (Path(found.submodule_search_locations[0]) / "static" / name).read_bytes()
