"""Chats: listing and searching them, what was said in one, closing and opening."""

from collections.abc import Mapping, Sequence
from typing import Any

from samvad.api import wire
from samvad.api.call import Call, Fields, page_of
from samvad.asgi.replies import Reply, data
from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts.model import TeamSettings
from samvad.domain.chats import operations as chats
from samvad.domain.chats.listing import ORDERS
from samvad.domain.chats.model import Chat, Wanted
from samvad.domain.messages import inbox

LONGEST_SEARCH = 100  # characters: no number and no name that is looked for is longer
ASSIGNABLE: Sequence[str] = ("assignedTo", "belongsTo")

SETTINGS = {
    "closedChats": "closed_chats",
    "opensLeads": "opens_leads",
    "ignoresUnknownAttributes": "ignores_unknown",
    "country": "country",
    "timeZone": "time_zone",
}
"""What the API calls a team's settings."""


async def list_chats(call: Call) -> Reply:
    """The team's chats, a page at a time."""
    body = await call.json()
    fields = Fields(body)
    limit, skip = page_of(body, fields)
    order = fields.choice("orderField", tuple(ORDERS), "createdAt")
    direction = fields.choice("orderDirection", ("asc", "desc"), "desc")
    status = fields.choice("status", ("OPEN", "CLOSED"), "")
    search = (fields.phone("search") if body.get("search") not in (None, "") else "").strip()
    if len(search) > LONGEST_SEARCH:
        fields.problem(f"search has {len(search):,} characters; {LONGEST_SEARCH} is the most.")
    fields.done()
    wanted = Wanted(order, direction == "desc", limit, skip, search or None, status or None)
    page, latest = await inbox.list_chats(call.ctx, wanted)
    listed = [wire.chat(it, latest.get(it.id)) for it in page.chats]
    return data(listed, _meta={"hasMore": page.has_more, "total": page.total})


async def list_messages_of_chat(call: Call) -> Reply:
    """What was said in one chat, newest first."""
    body = await call.json()
    fields = Fields(body)
    limit, skip = page_of(body, fields)
    fields.done()
    page, more = await inbox.list_messages(call.ctx, call.path["chatId"], limit=limit, skip=skip)
    return data([wire.message(it, call.res.public_url) for it in page], _meta={"hasMore": more})


async def show_chat(call: Call) -> Reply:
    return await _shown(call, await chats.get_chat(call.ctx, call.path["chatId"]))


async def close_chat(call: Call) -> Reply:
    return await _shown(call, await chats.close(call.ctx, call.path["chatId"]))


async def open_chat(call: Call) -> Reply:
    return await _shown(call, await chats.reopen(call.ctx, call.path["chatId"]))


async def read_chat(call: Call) -> Reply:
    return await _shown(call, await chats.mark_read(call.ctx, call.path["chatId"]))


async def assign_chat(call: Call) -> Reply:
    """Give a chat to a user or to a pod, or to nobody: null is a wish, and not the same as not being there."""
    body = await call.json()
    fields = Fields(body)
    named = [name for name in ASSIGNABLE if name in body]
    wanted = {name: fields.optional_text(name) for name in named}
    if not wanted:
        fields.problem("Say to whom: assignedTo (a username or id), belongsTo (a pod), or null for nobody.")
    fields.done()
    return await _shown(call, await chats.assign(call.ctx, call.path["chatId"], wanted))


async def show_settings(call: Call) -> Reply:
    return data(_settings(await accounts.get_settings(call.ctx)))


async def change_settings(call: Call) -> Reply:
    body = await call.json()
    fields = Fields(body)
    changes: dict[str, Any] = {}
    for name, column in SETTINGS.items():
        if name in body:
            is_switch = column in ("opens_leads", "ignores_unknown")
            changes[column] = fields.optional_switch(name) if is_switch else _word(fields, body, name)
            if changes[column] is None and column != "country":
                fields.problem(f"{name} cannot be null.")
    if not changes:
        fields.problem(f"Name at least one setting: {', '.join(SETTINGS)}.")
    fields.done()
    return data(_settings(await accounts.change_settings(call.ctx, changes)))


def _word(fields: Fields, body: Mapping[str, Any], name: str) -> str | None:
    """Null or a text; a text that is empty is a mistake here."""
    return None if body[name] is None else fields.text(name)


def _settings(it: TeamSettings) -> dict[str, Any]:
    return {name: getattr(it, column) for name, column in SETTINGS.items()}


async def _shown(call: Call, chat: Chat) -> Reply:
    return data(wire.chat(chat, await inbox.with_latest(call.ctx, chat)))
