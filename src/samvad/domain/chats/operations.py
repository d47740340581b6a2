"""What one can do with a chat: list, close, open, read, assign."""

from collections.abc import Mapping
from typing import Any

from samvad.domain.accounts import queries as accounts
from samvad.domain.accounts.access import Access, Who
from samvad.domain.chats import listing, queries
from samvad.domain.chats.model import Chat
from samvad.domain.context import Context
from samvad.domain.events.log import Event, record
from samvad.kit.errors import BadRequest, Conflict, Forbidden, NotFound
from samvad.storage import Tx


async def get_chat(ctx: Context, chat_id: str) -> Chat:
    """A chat, masked where only that it is there may be seen. Raises NotFound."""

    def unit(tx: Tx) -> Chat:
        return _get(tx, chat_id, queries.access_to_chats(tx, Who.of(ctx)))

    return await ctx.db.read(unit)


async def close(ctx: Context, chat_id: str) -> Chat:
    """End a chat: the next message begins another, or opens this one again where the team wants that."""
    return await _change(ctx, chat_id, to="CLOSED", name="chat.closed")


async def reopen(ctx: Context, chat_id: str) -> Chat:
    """Open a closed chat again. Raises Conflict where the person has another open one at this number."""
    return await _change(ctx, chat_id, to="OPEN", name="chat.opened")


async def mark_read(ctx: Context, chat_id: str) -> Chat:
    """Nothing of a chat is unread from now on; what WhatsApp shows the person is left as it is."""

    def unit(tx: Tx) -> Chat:
        access, _ = _to_change(tx, ctx, chat_id)
        queries.set_chat(tx, chat_id, unread=0)
        record(tx, [Event(ctx.team_id, "chat.read", chat_id, ctx.user_id)], at=ctx.now())
        return _get(tx, chat_id, access)

    return await ctx.db.write(unit)


async def assign(ctx: Context, chat_id: str, wanted: Mapping[str, str | None]) -> Chat:
    """Give a chat to a user (`assignedTo`: username, address or id), to a pod (`belongsTo`: name or id), or to nobody.

    What is not named stays. The chat is returned as it is now, also to who sees it no more. Raises BadRequest for
    a user or pod that is not there.
    """

    def unit(tx: Tx) -> Chat:
        _, before = _to_change(tx, ctx, chat_id)
        changes: dict[str, str | None] = {}
        if "assignedTo" in wanted:
            changes["assigned_to"] = _user(tx, wanted["assignedTo"])
        if "belongsTo" in wanted:
            changes["belongs_to"] = _pod(tx, wanted["belongsTo"])
        was = {"assignedTo": before.assigned_to, "belongsTo": before.belongs_to}
        now = {
            "assignedTo": changes.get("assigned_to", before.assigned_to),
            "belongsTo": changes.get("belongs_to", before.belongs_to),
        }
        if now != was:
            queries.set_chat(tx, chat_id, **changes, updated_at=ctx.now())
            said = {"before": was, "after": now}
            record(tx, [Event(ctx.team_id, "chat.assigned", chat_id, ctx.user_id, said)], at=ctx.now())
        return _get(tx, chat_id, Access("all", ctx.user_id))

    return await ctx.db.write(unit)


async def _change(ctx: Context, chat_id: str, *, to: str, name: str) -> Chat:
    def unit(tx: Tx) -> Chat:
        access, before = _to_change(tx, ctx, chat_id)
        if before.status != to:
            if to == "OPEN" and queries.another_is_open(tx, chat_id):
                raise Conflict(
                    "There is another open chat with this person at this number; close that one first."
                )
            changes: dict[str, Any] = {"status": to, "updated_at": ctx.now()}
            queries.set_chat(tx, chat_id, **changes)
            record(tx, [Event(ctx.team_id, name, chat_id, ctx.user_id)], at=ctx.now())
        return _get(tx, chat_id, access)

    return await ctx.db.write(unit)


def _get(tx: Tx, chat_id: str, access: Access) -> Chat:
    found = listing.with_ids(tx, [chat_id], access)
    if not found:
        raise _unknown(chat_id)
    return found[0]


def _to_change(tx: Tx, ctx: Context, chat_id: str) -> tuple[Access, Any]:
    """A chat that may be changed, as it is. Raises NotFound for one that is not seen, Forbidden for one only seen."""
    access = queries.access_to_chats(tx, Who.of(ctx))
    before = queries.find_to_change(tx, chat_id)
    if before is None or not access.sees(before):
        raise _unknown(chat_id)
    if not access.may_write(before):
        raise Forbidden(f"This key may see the chat and not change it: its access to chats is {access.mode}.")
    return access, before


def _user(tx: Tx, word: str | None) -> str | None:
    if word is None:
        return None
    user = accounts.find_user(tx, word)
    if user is None:
        raise BadRequest(
            f"assignedTo: there is no user {word!r:.100} in this team; give a username or an id."
        )
    return user.id


def _pod(tx: Tx, word: str | None) -> str | None:
    if word is None:
        return None
    pod = accounts.find_pod(tx, word)
    if pod is None:
        raise BadRequest(f"belongsTo: there is no pod {word!r:.100} in this team; give its name or id.")
    return str(pod.id)


def _unknown(chat_id: str) -> NotFound:
    return NotFound(f"Chat {chat_id:.60} not found")
