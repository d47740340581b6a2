"""What one can do with the event log: read it."""

from collections.abc import Sequence
from typing import Any

from samvad.domain.context import Context
from samvad.domain.events import queries


async def list_events(ctx: Context, *, limit: int, **which: Any) -> tuple[Sequence[Any], bool]:
    """A page of the team's events, newest first, and whether there is more; `which` as in queries.

    It tells of everything in the team, so it is for those who manage: rules of access do not reach into it.
    """
    ctx.must_manage("Reading the event log")
    page = await ctx.db.read(queries.newest_first, limit=limit + 1, **which)
    return page[:limit], len(page) > limit
