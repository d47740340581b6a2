"""What is kept for a time only: old rows go a chunk at a time, the oldest first, over all teams."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Row

from samvad.domain.events import queries as events
from samvad.domain.inbound import queries as inbound
from samvad.domain.media import queries as media
from samvad.domain.messages import queries as messages
from samvad.domain.webhooks import queries as webhooks
from samvad.storage import Database, Tx

CHUNK = 500  # rows in one unit: it bounds how long everybody else waits
PAUSE_S = 0.02  # between two chunks, so that whoever answers people goes first

log = structlog.get_logger(__name__)

Forget = Callable[[Tx, Any, int], tuple[Any, int]]
"""Forgets what of the chunk behind a key is older than a moment; returns the chunk's last key, None where nothing
behind it is that old, and how many rows went."""


async def forget(db: Database, what: Forget, *, first: int | str, before: int) -> int:
    """Drop all that is older than `before` (epoch milliseconds); returns how many rows that were."""
    after: Any = first
    gone = 0
    while after is not None:
        after, count = await db.write(what, after, before)
        gone += count
        await asyncio.sleep(PAUSE_S)
    if gone:
        log.info("retention.forgot", what=what.__name__, rows=gone)
    return gone


def inbound_bodies(tx: Tx, after: int, before: int) -> tuple[int | None, int]:
    """Meta's bodies that are folded; not those nobody could read, nor those of the log of webhooks."""
    rows = inbound.oldest_first(tx, after=after, limit=CHUNK)
    old = [row.id for row in rows if row.moment < before and row.is_done]
    old = sorted(set(old) - webhooks.awaited(tx, old)) if old else []
    if old:
        inbound.forget(tx, old)
    return _next(rows, before), len(old)


def logged_events(tx: Tx, after: int, before: int) -> tuple[int | None, int]:
    rows = events.oldest_first(tx, after=after, limit=CHUNK)
    old = [row.id for row in rows if row.moment < before]
    if old:
        events.forget(tx, old)
    return _next(rows, before), len(old)


def said_messages(tx: Tx, after: str, before: int) -> tuple[str | None, int]:
    """Messages with what is known of their files; contacts, chats and leads stay."""
    rows = messages.oldest_first(tx, after=after, limit=CHUNK)
    old = [row.id for row in rows if row.moment < before]
    if old:
        media.forget_of_messages(tx, old)
        messages.forget(tx, old)
    return _next(rows, before), len(old)


def _next(rows: Sequence[Row[Any]], before: int) -> Any:
    """Keys ascend with time, but for what two machines' clocks differ: one chunk without anything old is the end."""
    is_last = len(rows) < CHUNK or all(row.moment >= before for row in rows)
    return None if is_last else rows[-1].id
