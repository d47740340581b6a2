"""Endpoints that hear of changes of processes, records and tasks: several for a team, each with what it wants."""

from collections.abc import Sequence
from typing import Any

from samvad.domain.accounts import queries as accounts
from samvad.domain.context import Context
from samvad.domain.events.log import Event, record
from samvad.domain.webhooks import queries
from samvad.domain.webhooks.model import (
    LONGEST_SHORT_ID,
    LONGEST_URL,
    MOST_PROCEDURES,
    OBJECT_EVENTS,
    ActsAs,
    is_address,
    refuse_private,
)
from samvad.domain.webhooks.operations import COUNTED
from samvad.kit.errors import BadRequest, Conflict, Forbidden, NotFound
from samvad.storage import Tx

MOST_ENDPOINTS = 50  # of a team: every change is written down once for each

Shown = tuple[Any, int, int | None]
"""An endpoint, how many deliveries wait for it, and when the earliest is due."""


async def add(
    ctx: Context,
    *,
    url: str,
    events: Sequence[str] | None = None,
    procedures: Sequence[str] | None = None,
    role: str | None = None,
    user: str | None = None,
) -> Shown:
    """Tell an address of every change of objects from now on, or of those named alone.

    `role` and `user` (an address or an id) are whom it stands for, and so what it may be told; without them
    it sees as much as whoever adds it. Names every problem at once.
    """
    ctx.must_manage("Adding a webhook")
    _check(url, events, procedures)
    if not ctx.resources.allow_private_webhooks:
        refuse_private("url", url)
    now = ctx.now()

    def unit(tx: Tx) -> Shown:
        acts_as = _stands_for(tx, ctx, role=role, user=user)
        if len(queries.endpoints_oldest_first(tx, format="object")) >= MOST_ENDPOINTS:
            raise Conflict(f"A team has at most {MOST_ENDPOINTS} of these webhooks; remove one first.")
        endpoint_id = queries.add_object_endpoint(
            tx,
            url=url,
            events=[it for it in OBJECT_EVENTS if events is None or it in events],
            procedures=None if procedures is None else sorted(set(procedures)),
            acts_as=acts_as,
            at=now,
        )
        record(tx, [Event(ctx.team_id, "webhook.added", endpoint_id, ctx.user_id or None)], at=now)
        return _shown(tx, queries.find_endpoint(tx, endpoint_id))

    return await ctx.db.write(unit)


async def list_all(ctx: Context) -> list[Shown]:
    """Every one of the team, oldest first."""
    ctx.must_manage("Listing these webhooks")

    def unit(tx: Tx) -> list[Shown]:
        return [_shown(tx, row) for row in queries.endpoints_oldest_first(tx, format="object")]

    return await ctx.db.read(unit)


async def remove(ctx: Context, endpoint_id: str) -> None:
    """It hears of nothing any more; what waits for it is cancelled, and what it was told stays in the log."""
    ctx.must_manage("Removing a webhook")
    now = ctx.now()

    def unit(tx: Tx) -> None:
        row = queries.find_endpoint(tx, endpoint_id)
        if row is None or row.format != "object":
            raise NotFound(f"Webhook endpoint {endpoint_id:.40} not found")
        queries.turn_off(tx, endpoint_id, at=now)
        record(tx, [Event(ctx.team_id, "webhook.removed", endpoint_id, ctx.user_id or None)], at=now)

    await ctx.db.write(unit)


def _check(url: str, events: Sequence[str] | None, procedures: Sequence[str] | None) -> None:
    problems = []
    if not is_address(url):
        problems.append(f"url must be an http(s) URL; got {url!r:.80}.")
    if len(url) > LONGEST_URL:
        problems.append(f"url is longer than {LONGEST_URL} characters.")
    for name, given in (("events", events), ("procedures", procedures)):
        if given is not None and not given:
            problems.append(f"{name} names none; leave it out to hear of all.")
    unknown = [it for it in events or () if it not in OBJECT_EVENTS]
    if unknown:
        problems.append(f"No event is named {unknown[0]!r:.60}; there are {', '.join(OBJECT_EVENTS)}.")
    if procedures is not None and len(procedures) > MOST_PROCEDURES:
        problems.append(f"procedures names more than {MOST_PROCEDURES}.")
    if any(not 0 < len(it.strip()) <= LONGEST_SHORT_ID for it in procedures or ()):
        problems.append(f"procedures must be short ids of up to {LONGEST_SHORT_ID} characters.")
    if problems:
        raise BadRequest(*problems)


def _stands_for(tx: Tx, ctx: Context, *, role: str | None, user: str | None) -> ActsAs:
    """Whom it stands for; nobody lets one see more than they do themselves."""
    person = None if user is None else accounts.find_user_called(tx, user)
    if user is not None and (person is None or not person.is_active):
        raise BadRequest(f"actsAs.user: nobody who is active here has the address or id {user!r:.60}.")
    named = None if role is None else accounts.find_role(tx, role)
    if role is not None and named is None:
        raise BadRequest(f"actsAs.role: there is no role named {role!r:.60} in this team.")
    user_id = person.id if person else None
    if named is not None:
        acts_as = ActsAs(user_id, named.id, named.type)
    elif person is not None:
        acts_as = ActsAs(user_id, person.role_id, person.role_type)
    else:
        acts_as = ActsAs(None, None, ctx.role_type)
    if acts_as.role_type == "ADMIN" and ctx.role_type != "ADMIN":
        raise Forbidden("Letting a webhook stand for an ADMIN needs a role of type ADMIN.")
    return acts_as


def _shown(tx: Tx, row: Any) -> Shown:
    return row, *queries.waiting(tx, row.id, most=COUNTED)
