"""Chats read back: pages of them in three orders, and searched.

A page is found in an index that holds the whole order, and only its own rows are read. Nothing here takes
longer because a team has a million chats: what would is bounded, by a constant that says so.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, func, or_

from samvad.domain.accounts import predicates
from samvad.domain.accounts.access import Access
from samvad.domain.chats.model import Chat, Wanted
from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.waba.tables import phone_numbers
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

COUNTED = 10_000  # chats counted for `total`; more than these are not waited for
FOUND_BY_START = 1_000  # people whose number or name begins with what is searched, over the whole team
SEARCHED_WITHIN = 10_000  # latest chats that are also searched for it in the middle of a number or name

ORDERS = {
    "createdAt": chats.c.created_at,
    "updatedAt": chats.c.updated_at,
    "lastMessageAt": chats.c.last_message_at,
}

IDENTITIES = every_team.select(
    contact_identities.c.contact_id,
    contact_identities.c.kind,
    contact_identities.c.value,
    contact_identities.c.created_at,
).where(among(contact_identities.c.contact_id, "contacts"))

OF_CONTACTS = every_team.select(chats.c.id).where(among(chats.c.contact_id, "contacts"))
"""By their contacts alone: asked for the team as well, a planner may read the whole team in its order."""


class Page(NamedTuple):
    """Some chats, whether there are more, and how many there are, as far as they were counted."""

    chats: list[Chat]
    has_more: bool
    total: int


def page(tx: Tx, wanted: Wanted, access: Access) -> Page:
    """One page of the chats somebody sees; `total` is exact up to COUNTED, and never below what was shown.

    Searched are only those that are seen whole: what is found by a name would tell the name.
    """
    order = ORDERS[wanted.order]
    seen = predicates.reads if wanted.search is None else predicates.whole
    if wanted.search is None:
        which = tx.select(chats, chats.c.id).where(seen(access, chats))
    else:
        people = _people_called(tx, wanted.search)
        found = [row.id for row in tx.all(OF_CONTACTS, {"contacts": people})]
        which = tx.find(chats, chats.c.id).where(seen(access, chats))
        which = which.where(among(chats.c.id, "found")).params(found=found)
    if wanted.status is not None:
        which = which.where(chats.c.status == wanted.status)

    by = (order.desc(), chats.c.id.desc()) if wanted.descending else (order, chats.c.id)
    ids = [row.id for row in tx.all(which.order_by(*by).limit(wanted.limit + 1).offset(wanted.skip))]
    shown = ids[: wanted.limit]
    total = tx.first(every_team.select(func.count()).select_from(which.limit(COUNTED).subquery()))
    assert total is not None, "a count is always there"
    reached = wanted.skip + len(ids) if ids else 0
    return Page(with_ids(tx, shown, access), len(ids) > wanted.limit, max(int(total[0]), reached))


def with_ids(tx: Tx, ids: Sequence[str], access: Access) -> list[Chat]:
    """These chats in this order, with whom each is; those that are not there, or not to be seen, are left out."""
    if not ids:
        return []
    rows = tx.all(
        tx.find(
            chats,
            *chats.c,
            contacts.c.name.label("contact_name"),
            contacts.c.process_id,
            contacts.c.marketing,
            phone_numbers.c.display_phone_number,
        )
        .join(contacts, contacts.c.id == chats.c.contact_id, isouter=True)
        .join(phone_numbers, phone_numbers.c.id == chats.c.phone_number_id, isouter=True)
        .where(among(chats.c.id, "ids")),
        {"ids": ids},
    )
    handles = _handles(tx, {row.contact_id for row in rows if row.contact_id})
    found = {row.id: _chat(row, handles.get(row.contact_id)) for row in rows if access.sees(row)}
    here = [found[it] for it in ids if it in found]
    return [it if access.sees_whole(it) else it.masked() for it in here]


def _people_called(tx: Tx, words: str) -> set[str]:
    """Contacts whose number or name is searched: by its start everywhere, by its middle among the latest."""
    digits = "".join(filter(str.isdigit, words))
    is_number = bool(digits) and not any(map(str.isalpha, words))
    named = words.casefold()
    if is_number:
        starting = (
            tx.select(contact_identities, contact_identities.c.contact_id.label("id"))
            .where(contact_identities.c.value >= digits, contact_identities.c.value < _after(digits))
            .limit(FOUND_BY_START)
        )
    else:
        starting = (
            tx.select(contacts, contacts.c.id)
            .where(contacts.c.search_name >= named, contacts.c.search_name < _after(named))
            .limit(FOUND_BY_START)
        )
    latest = (
        tx.select(chats, chats.c.contact_id)
        .where(chats.c.contact_id.is_not(None))
        .order_by(chats.c.last_message_at.desc(), chats.c.id.desc())
        .limit(SEARCHED_WITHIN)
        .subquery()
    )
    holds = [contacts.c.search_name.contains(named, autoescape=True)]
    holds.append(contact_identities.c.value.contains(digits if is_number else words, autoescape=True))
    within = (
        every_team.select(latest.c.contact_id.label("id"))
        .join(contacts, contacts.c.id == latest.c.contact_id)
        .join(contact_identities, contact_identities.c.contact_id == contacts.c.id)
        .where(or_(*holds))
    )
    return {row.id for query in (starting, within) for row in tx.all(query)}


def _after(start: str) -> str:
    """What comes behind everything that begins so."""
    return start[:-1] + chr(ord(start[-1]) + 1) if ord(start[-1]) < 0xD7FF else start + "\ufffd"


def _handles(tx: Tx, contact_ids: set[str]) -> dict[str, str]:
    """What each of these is reached by: the phone that was known first, else a BSUID."""
    rows = tx.all(IDENTITIES, {"contacts": contact_ids}) if contact_ids else []
    best: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (row.kind != "phone", row.created_at, row.value)):
        best.setdefault(row.contact_id, row.value)
    return best


def _chat(row: Row[Any], handle: str | None) -> Chat:
    return Chat(
        id=row.id,
        team_id=row.team_id,
        plugin_id=row.plugin_id,
        phone_number_id=row.phone_number_id,
        display_phone_number=row.display_phone_number or None,
        contact_id=row.contact_id,
        contact_name=row.contact_name,
        group_id=row.group_id,
        handle=handle or row.group_id,
        marketing=row.marketing,
        process_id=row.process_id,
        status=row.status,
        unread=row.unread,
        last_message_at=row.last_message_at,
        last_inbound_at=row.last_inbound_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        assigned_to=row.assigned_to,
        belongs_to=row.belongs_to,
    )
