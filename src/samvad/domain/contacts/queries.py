"""Contacts in the database: many people at once, of many teams, each met once."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, Text, bindparam, func

from samvad.domain.contacts.model import Contact, Identity, Merge, Person, searched
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.events.log import Event, record
from samvad.jobs.queue import Job, enqueue
from samvad.kit.ids import new_id
from samvad.storage import Tx, every_team
from samvad.storage.columns import among, aside

Place = tuple[str, Identity]
"""A team and something a person is known by there."""

MARKETING = {"stop": "stopped", "resume": "resumed"}

KNOWN = (
    every_team.select(
        contact_identities.c.team_id,
        contact_identities.c.kind,
        contact_identities.c.value,
        contacts.c.id,
        contacts.c.name,
        contacts.c.username,
        contacts.c.process_id,
        contacts.c.named_at,
        contacts.c.username_at,
        contacts.c.is_imported,
        contacts.c.marketing,
        contacts.c.marketing_at,
    )
    .join(contacts, contacts.c.id == contact_identities.c.contact_id)
    .where(among(contact_identities.c.value, "values"), among(contact_identities.c.team_id, "teams"))
    .order_by(contacts.c.id)
    # Whoever adds to a contact holds it until the commit: another connection that would merge it away waits,
    # and then moves what was added too; one that comes after a merge finds the contact that was kept.
    .with_for_update(of=contacts, key_share=True)
)

ADD_IDENTITY = (
    every_team.upsert(contact_identities).on_conflict_do_nothing().returning(contact_identities.c.contact_id)
)
ADD_CONTACT = every_team.insert(contacts)
LEARN = (
    every_team.update(contacts)
    .where(contacts.c.id == bindparam("contact_id"))
    .values(
        name=bindparam("new_name"),
        search_name=bindparam("new_search_name"),
        named_at=bindparam("new_named_at"),
        username=bindparam("new_username"),
        username_at=bindparam("new_username_at"),
        is_imported=bindparam("still_imported"),
        marketing=bindparam("new_marketing"),
        marketing_at=bindparam("new_marketing_at"),
        process_id=func.coalesce(contacts.c.process_id, bindparam("lead", type_=Text())),
        updated_at=bindparam("now"),
    )
)
REPOINT = (
    every_team.update(contact_identities)
    .where(contact_identities.c.contact_id == bindparam("gone"))
    .values(contact_id=bindparam("kept"))
)
FORGET = every_team.delete(contacts).where(contacts.c.id == bindparam("gone"))

SET_LEAD = (
    every_team.update(contacts)
    .where(contacts.c.id == bindparam("contact_id"), contacts.c.team_id == bindparam("team"))
    .values(process_id=bindparam("lead"), updated_at=bindparam("now"))
)

LEADS_OF = (
    every_team.select(contacts.c.id, contacts.c.process_id, contacts.c.name)
    .where(among(contacts.c.id, "ids"))
    .order_by(contacts.c.id)
    .with_for_update()  # two workers on one job: the second one waits, and sees the leads of the first
)


def meet(tx: Tx, people: Sequence[Person], *, at: int) -> tuple[list[Contact], list[Merge]]:
    """The contact of each of these people, met now or before; the latest name wins.

    Who comes under two identities that we took for two contacts is merged into the elder one;
    the caller moves what hangs on the other (messages.merging).
    """
    places = {(person.team_id, it) for person in people for it in person.identities}
    known = _known(tx, places)
    new = [place for place in places if place not in known]
    if new:
        _introduce(tx, people, known, at=at)
        known = _known(tx, places)  # another process may have been quicker: its contact counts
    merges = _merge(tx, people, known, at=at)
    met = [known[person.team_id, person.identities[0]] for person in people]
    _learn(tx, people, met, at=at)
    return met, merges


def find(tx: Tx, identity: Identity) -> Contact | None:
    row = tx.first(
        tx.select(contacts)
        .join(contact_identities, contact_identities.c.contact_id == contacts.c.id)
        .where(
            contact_identities.c.team_id == tx.team_id,
            contact_identities.c.kind == identity.kind,
            contact_identities.c.value == identity.value,
        )
    )
    return _contact(row) if row else None


def without_lead(tx: Tx, contact_ids: Sequence[str]) -> list[tuple[str, str | None, str | None]]:
    """Those of these people who have no lead: id, name, and the phone they were first known by."""
    rows = [row for row in tx.all(LEADS_OF, {"ids": contact_ids}) if row.process_id is None]
    known = _first_phones(tx, [row.id for row in rows])
    return [(row.id, row.name, known.get(row.id)) for row in rows]


def phone_of(tx: Tx, contact_id: str) -> str | None:
    return _first_phones(tx, [contact_id]).get(contact_id)


def leads_of_phones(tx: Tx, numbers: Collection[str]) -> dict[str, str]:
    """The leads of people known by these numbers, by number."""
    query = (
        tx.find(contacts, contacts.c.process_id, contact_identities.c.value)
        .join(contact_identities, contact_identities.c.contact_id == contacts.c.id)
        .where(
            among(contact_identities.c.value, "numbers"),
            contact_identities.c.team_id == tx.team_id,
            contact_identities.c.kind == "phone",
            contacts.c.process_id.is_not(None),
        )
    )
    return {row.value: row.process_id for row in tx.all(query, {"numbers": numbers})} if numbers else {}


def known_by_phone(tx: Tx, numbers: Collection[str]) -> list[tuple[str, str]]:
    """Contact id and number of people known by these numbers."""
    query = tx.select(contact_identities).where(
        among(contact_identities.c.value, "numbers"), contact_identities.c.kind == "phone"
    )
    rows = tx.all(query.order_by(contact_identities.c.contact_id), {"numbers": numbers}) if numbers else []
    return [(row.contact_id, row.value) for row in rows]


def set_lead(tx: Tx, leads: Sequence[tuple[str, str]], *, at: int) -> None:
    """Contact id and process id, in pairs."""
    if leads:
        rows = [{"contact_id": it, "lead": lead, "team": tx.team_id, "now": at} for it, lead in leads]
        tx.execute(SET_LEAD, rows)


def set_lead_where_none(tx: Tx, leads: Sequence[tuple[str, str]], *, at: int) -> None:
    """Contact id and process id, in pairs; who has a lead keeps it."""
    if leads:
        rows = [{"contact_id": it, "lead": lead, "team": tx.team_id, "now": at} for it, lead in leads]
        tx.execute(SET_LEAD.where(contacts.c.process_id.is_(None)), rows)


def forget_lead(tx: Tx, process_ids: Collection[str], *, at: int) -> None:
    """These leads are there no more."""
    its_team = aside(contacts.c.team_id) == tx.team_id
    query = every_team.update(contacts).where(its_team, among(contacts.c.process_id, "gone"))
    tx.execute(query.values(process_id=None, updated_at=at), {"gone": process_ids})


def _first_phones(tx: Tx, contact_ids: Sequence[str]) -> dict[str, str]:
    query = tx.select(contact_identities).where(
        among(contact_identities.c.contact_id, "ids"), contact_identities.c.kind == "phone"
    )
    rows = tx.all(query, {"ids": contact_ids}) if contact_ids else []
    found: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (row.created_at, row.value)):
        found.setdefault(row.contact_id, row.value)
    return found


def _known(tx: Tx, places: set[Place]) -> dict[Place, Contact]:
    values = {"values": {it.value for _, it in places}, "teams": {team for team, _ in places}}
    return {
        (row.team_id, Identity(row.kind, row.value)): _contact(row)
        for row in tx.all(KNOWN, values)
        if (row.team_id, Identity(row.kind, row.value)) in places
    }


def _contact(row: Row[Any]) -> Contact:
    return Contact(
        row.id,
        row.name,
        row.username,
        row.process_id,
        row.named_at,
        row.username_at,
        row.is_imported,
        row.marketing,
        row.marketing_at,
    )


def _introduce(tx: Tx, people: Sequence[Person], known: dict[Place, Contact], *, at: int) -> None:
    """Write down the identities not seen before, and a contact where none of them was."""
    ids = {place: contact.id for place, contact in known.items()}
    identities, strangers = [], {}
    for person in people:
        mine = [(person.team_id, it) for it in person.identities]
        contact_id = next((ids[place] for place in mine if place in ids), None)
        if contact_id is None:
            contact_id = new_id()
            strangers[contact_id] = person
        for place in mine:
            if place not in ids:
                ids[place] = contact_id
                identities.append((place, contact_id))
    rows = [
        {"team_id": team, "kind": it.kind, "value": it.value, "contact_id": contact_id, "created_at": at}
        for (team, it), contact_id in sorted(identities)
    ]
    ours = {row.contact_id for row in tx.all(ADD_IDENTITY, rows)}
    # Whom another connection met at the same moment, by all that they are known by, is theirs.
    met_first = {contact_id: it for contact_id, it in strangers.items() if contact_id in ours}
    if met_first:
        _add_contacts(tx, met_first, at=at)


def _add_contacts(tx: Tx, strangers: dict[str, Person], *, at: int) -> None:
    rows = [
        {"id": contact_id, "team_id": it.team_id, "created_at": at, "updated_at": at}
        | {"name": it.name, "named_at": it.at if it.name else None, "search_name": searched(it.name)}
        | {"username": it.username, "username_at": it.at if it.username else None}
        | {"is_imported": it.imported}
        | {"marketing": it.marketing, "marketing_at": it.at if it.marketing else None}
        for contact_id, it in strangers.items()
    ]
    tx.execute(ADD_CONTACT, rows)
    imported = [(it.team_id, contact_id) for contact_id, it in strangers.items() if it.imported]
    happened = [Event(team, "contact.imported", contact_id) for team, contact_id in imported]
    happened += [
        Event(it.team_id, f"contact.marketing_{MARKETING[it.marketing]}", contact_id)
        for contact_id, it in strangers.items()
        if it.marketing
    ]
    record(tx, happened, at=at)
    _arrived(tx, [(it.team_id, contact_id) for contact_id, it in strangers.items() if not it.imported], at=at)


def _arrived(tx: Tx, people: Sequence[tuple[str, str]], *, at: int) -> None:
    """Somebody was spoken with for the first time: by team and contact id."""
    record(tx, [Event(team, "contact.created", contact_id) for team, contact_id in people], at=at)
    by_team: dict[str, list[str]] = {}
    for team, contact_id in people:
        by_team.setdefault(team, []).append(contact_id)
    enqueue(
        tx, [Job(team, "processes.open_leads", {"contacts": ids}) for team, ids in by_team.items()], at=at
    )


def _merge(tx: Tx, people: Sequence[Person], known: dict[Place, Contact], *, at: int) -> list[Merge]:
    merges: list[Merge] = []
    arrived: list[tuple[str, str]] = []
    wishes: list[Event] = []
    for person in people:
        mine = {known[person.team_id, it].id: known[person.team_id, it] for it in person.identities}
        if len(mine) < 2:
            continue
        kept, *others = sorted(mine.values(), key=lambda contact: contact.id)  # ids sort by age
        was_imported, wish = kept.is_imported, kept.marketing
        for gone in others:
            merges.append(Merge(person.team_id, kept.id, gone.id))
            tx.execute(REPOINT, {"gone": gone.id, "kept": kept.id})
            tx.execute(FORGET, {"gone": gone.id})
            kept = kept.after(gone)._replace(process_id=kept.process_id or gone.process_id)
        tx.execute(LEARN, _learnt(kept, at=at))
        if was_imported and not kept.is_imported:
            arrived.append((person.team_id, kept.id))
        if kept.marketing and kept.marketing != wish:
            wishes.append(_wished(person.team_id, kept))
        for place in [place for place, contact in known.items() if contact.id in mine]:
            known[place] = kept
    happened = [Event(m.team_id, "contact.merged", m.kept, data={"gone": m.gone}) for m in merges]
    record(tx, happened + wishes, at=at)
    _arrived(tx, arrived, at=at)
    jobs = [Job(m.team_id, "processes.follow_merge", {"kept": m.kept, "gone": m.gone}) for m in merges]
    enqueue(tx, jobs, at=at)
    return merges


def _learn(tx: Tx, people: Sequence[Person], met: Sequence[Contact], *, at: int) -> None:
    before = {contact.id: contact for contact in met}
    after = dict(before)
    for person, contact in zip(people, met, strict=True):
        after[contact.id] = after[contact.id].after(person)
    changed = [it for it in sorted(after) if after[it] is not before[it]]
    if changed:
        tx.execute(LEARN, [_learnt(after[it], at=at) for it in changed])
    team_of = {contact.id: person.team_id for person, contact in zip(people, met, strict=True)}
    arrived = [it for it in changed if before[it].is_imported and not after[it].is_imported]
    _arrived(tx, [(team_of[it], it) for it in arrived], at=at)
    happened = [
        _wished(team_of[it], after[it])
        for it in changed
        if after[it].marketing and after[it].marketing != before[it].marketing
    ]
    record(tx, happened, at=at)


def _wished(team_id: str, it: Contact) -> Event:
    return Event(team_id, f"contact.marketing_{MARKETING[it.marketing or '']}", it.id)


def _learnt(it: Contact, *, at: int) -> dict[str, Any]:
    return {
        "contact_id": it.id,
        "new_name": it.name,
        "new_search_name": searched(it.name),
        "new_named_at": it.named_at,
        "new_username": it.username,
        "new_username_at": it.username_at,
        "still_imported": it.is_imported,
        "new_marketing": it.marketing,
        "new_marketing_at": it.marketing_at,
        "lead": it.process_id,
        "now": at,
    }
