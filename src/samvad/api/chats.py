"""Chats: listing and searching them, what was said in one, closing and opening."""

from samvad.api import wire
from samvad.api.call import Call, Fields, page_of
from samvad.asgi.replies import Reply, data
from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts.model import CLOSED_CHATS, TeamSettings
from samvad.domain.chats import operations as chats
from samvad.domain.chats.listing import ORDERS
from samvad.domain.chats.model import Chat, Wanted
from samvad.domain.messages import inbox

LONGEST_SEARCH = 100  # characters: no number and no name that is looked for is longer


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


async def show_settings(call: Call) -> Reply:
    return data(_settings(await accounts.get_settings(call.ctx)))


async def change_settings(call: Call) -> Reply:
    fields = Fields(await call.json())
    fields.text("closedChats")
    fields.done()
    closed_chats = fields.choice("closedChats", CLOSED_CHATS, "")
    fields.done()
    return data(_settings(await accounts.change_settings(call.ctx, closed_chats=closed_chats)))


def _settings(it: TeamSettings) -> dict[str, str]:
    return {"closedChats": it.closed_chats}


async def _shown(call: Call, chat: Chat) -> Reply:
    return data(wire.chat(chat, await inbox.with_latest(call.ctx, chat)))
