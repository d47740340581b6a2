"""The inbox: chats with the last that was said in each, and what was said in one."""

from samvad.domain.accounts.access import Who
from samvad.domain.chats import listing
from samvad.domain.chats import operations as chats
from samvad.domain.chats.listing import Page
from samvad.domain.chats.model import Chat, Wanted
from samvad.domain.chats.queries import access_to_chats
from samvad.domain.context import Context
from samvad.domain.messages import queries
from samvad.domain.messages.model import Message
from samvad.kit.errors import Forbidden
from samvad.storage import Tx


async def list_chats(ctx: Context, wanted: Wanted) -> tuple[Page, dict[str, Message]]:
    """A page of chats, and the latest message of each by chat id: few questions, however long the page."""

    def unit(tx: Tx) -> tuple[Page, dict[str, Message]]:
        page = listing.page(tx, wanted, access_to_chats(tx, Who.of(ctx)))
        return page, queries.latest_of(tx, [chat.id for chat in page.chats if not chat.is_masked])

    return await ctx.db.read(unit)


async def with_latest(ctx: Context, chat: Chat) -> Message | None:
    return None if chat.is_masked else (await ctx.db.read(queries.latest_of, [chat.id])).get(chat.id)


async def list_messages(ctx: Context, chat_id: str, *, limit: int, skip: int) -> tuple[list[Message], bool]:
    """One page of a chat's messages, newest first, and whether there is more. Raises NotFound, Forbidden."""
    if (await chats.get_chat(ctx, chat_id)).is_masked:
        raise Forbidden("This key may see that the chat is there, and not what was said in it.")
    page = await ctx.db.read(queries.of_chat_newest_first, chat_id, limit=limit + 1, skip=skip)
    return page[:limit], len(page) > limit
