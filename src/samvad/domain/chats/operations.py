"""What one can do with a chat: list, close, open, read."""

from typing import Any

from samvad.domain.chats import listing, queries
from samvad.domain.chats.model import Chat
from samvad.domain.context import Context
from samvad.domain.events.log import Event, record
from samvad.kit.errors import Conflict, NotFound
from samvad.storage import Tx


async def get_chat(ctx: Context, chat_id: str) -> Chat:
    found = await ctx.db.read(listing.with_ids, [chat_id])
    if not found:
        raise _unknown(chat_id)
    return found[0]


async def close(ctx: Context, chat_id: str) -> Chat:
    """End a chat: the next message begins another, or opens this one again where the team wants that."""
    return await _change(ctx, chat_id, to="CLOSED", name="chat.closed")


async def reopen(ctx: Context, chat_id: str) -> Chat:
    """Open a closed chat again. Raises Conflict where the person has another open one at this number."""
    return await _change(ctx, chat_id, to="OPEN", name="chat.opened")


async def mark_read(ctx: Context, chat_id: str) -> Chat:
    """Nothing of a chat is unread from now on; what WhatsApp shows the person is left as it is."""

    def unit(tx: Tx) -> None:
        _status(tx, chat_id)
        queries.set_chat(tx, chat_id, unread=0)
        record(tx, [Event(ctx.team_id, "chat.read", chat_id, ctx.user_id)], at=ctx.now())

    await ctx.db.write(unit)
    return await get_chat(ctx, chat_id)


async def _change(ctx: Context, chat_id: str, *, to: str, name: str) -> Chat:
    def unit(tx: Tx) -> None:
        if _status(tx, chat_id) == to:
            return
        if to == "OPEN" and queries.another_is_open(tx, chat_id):
            raise Conflict(
                "There is another open chat with this person at this number; close that one first."
            )
        changes: dict[str, Any] = {"status": to, "updated_at": ctx.now()}
        queries.set_chat(tx, chat_id, **changes)
        record(tx, [Event(ctx.team_id, name, chat_id, ctx.user_id)], at=ctx.now())

    await ctx.db.write(unit)
    return await get_chat(ctx, chat_id)


def _status(tx: Tx, chat_id: str) -> str:
    status = queries.find_status(tx, chat_id)
    if status is None:
        raise _unknown(chat_id)
    return status


def _unknown(chat_id: str) -> NotFound:
    return NotFound(f"Chat {chat_id:.60} not found")
