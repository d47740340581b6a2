"""Leads by the million, as a team of some years has them: written by the product's own tables, many to a commit.

Cities are as unequal as cities are: a third of the leads is from two of them, and every tenth is from a hamlet of
sixty. A hamlet is the hard case of a search, since it stays as small however much there is around it.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Index
from sqlalchemy.schema import DropIndex

from samvad.bench.rig import Party
from samvad.domain.accounts import operations as accounts
from samvad.domain.context import Resources
from samvad.domain.events.log import Event, record
from samvad.domain.procedures import queries as procedures
from samvad.domain.procedures import types
from samvad.domain.procedures.blueprint import Blueprint
from samvad.domain.procedures.model import LEAD
from samvad.domain.processes import applying, queries
from samvad.domain.processes.tables import processes
from samvad.storage import Tx, attributes

CHUNK = 5_000  # leads to a commit
PEOPLE = 12  # users they are assigned to
UNASSIGNED = 0.1
PERIOD_MS = 2 * 365 * 24 * 3_600_000  # from the oldest lead to the youngest
HAMLET = 60  # leads: more than a page
EVERY_NTH_IN_A_HAMLET = 10
HIGHEST_SCORE = 1_000
FIRST_PHONE = 919_000_000_000

CITIES = (
    *(
        "Mumbai",
        "Delhi",
        "Bengaluru",
        "Hyderabad",
        "Ahmedabad",
        "Chennai",
        "Kolkata",
        "Surat",
        "Pune",
        "Jaipur",
    ),
    *("Lucknow", "Kanpur", "Nagpur", "Indore", "Thane", "Bhopal", "Patna", "Vadodara", "Agra", "Nashik"),
)
CITY_WEIGHTS = tuple(1 / rank for rank in range(1, len(CITIES) + 1))
STATE_WEIGHTS = (0.2, 0.3, 0.35, 0.15)
FIRST_NAMES = ("Asha", "Ravi", "Meera", "Arjun", "Divya", "Karan", "Nisha", "Vikram", "Leela", "Sanjay")
LAST_NAMES = ("Rao", "Iyer", "Singh", "Patel", "Khan", "Das", "Joshi", "Menon", "Gupta", "Bose")


@dataclass
class Leads:
    """What is in the database, and what one may ask for there."""

    party: Party
    plan: Blueprint
    people: list[str]
    """The users they are assigned to, by username."""

    people_ids: list[str]
    total: int
    """How many there will be at the end: they are as old as their number among these."""

    youngest_at: int
    seed: int = 1
    ids: list[str] = field(default_factory=list)
    """By number; the lead's own id is `key(number)`."""

    hamlets: int = 0

    def city(self, rng: random.Random) -> str:
        """One of the ten largest."""
        return rng.choices(CITIES[:10], CITY_WEIGHTS[:10])[0]

    def hamlet(self, rng: random.Random) -> str:
        return hamlet(rng.randrange(self.hamlets))

    def number(self, rng: random.Random) -> int:
        return rng.randrange(len(self.ids))

    def key(self, number: int) -> str:
        return str(self.plan.generated(number + 1))


async def prepare(res: Resources, party: Party, *, total: int) -> Leads:
    """A team with people in it, and no lead yet."""
    names = [f"agent{number}@localhost" for number in range(1, PEOPLE + 1)]
    ids = [
        await accounts.create_user(
            res,
            party.team_id,
            email=name,
            name=name.split("@")[0],
            role="Admin",
            password="not-used-by-any-one",  # noqa: S106
        )
        for name in names
    ]
    plan = await res.db.team(party.team_id).read(procedures.find, LEAD)
    assert plan is not None, "every team has leads"
    return Leads(party, plan, names, ids, total, res.clock())


async def fill(res: Resources, leads: Leads, *, upto: int, progress: Callable[[float], None]) -> None:
    """Add leads until there are so many. Attribute indexes are made once they are there, as by an apply."""
    db, begin = res.db.team(leads.party.team_id), len(leads.ids)
    await db.write(_drop_attribute_indexes, leads.plan)  # row by row they would take most of the time
    rows = _rows(leads, upto)
    while chunk := list(islice(rows, CHUNK)):
        await db.write(_add, leads.plan, chunk)
        leads.ids += [row["id"] for row in chunk]
        progress((len(leads.ids) - begin) / (upto - begin))
    await db.write(procedures.pass_number, leads.plan.id, upto)
    await applying.index(res.db, leads.plan.definition)


def _add(tx: Tx, plan: Blueprint, rows: list[dict[str, Any]]) -> None:
    tx.execute(queries.ADD_PROCESS, rows)
    events = [
        Event(it["team_id"], "process.created", it["id"], None, {"procedure": plan.short_id}) for it in rows
    ]
    record(tx, events, at=rows[-1]["created_at"])


def _drop_attribute_indexes(tx: Tx, plan: Blueprint) -> None:
    for it in plan.schema.attributes.values():
        kind = types.kind_of(it)
        if kind in ("text", "number", "boolean"):
            name = attributes.index_name(processes.name, "data", it.short_id, kind)
            tx.execute(DropIndex(Index(name), if_exists=True))


def _rows(leads: Leads, upto: int) -> Iterator[dict[str, Any]]:
    """The leads that are missing, oldest first."""
    rng, begin = random.Random(f"{leads.seed}/{len(leads.ids)}"), len(leads.ids)
    states = [it.id for it in leads.plan.definition.states]
    in_hamlets = (upto - begin) // EVERY_NTH_IN_A_HAMLET
    first, hamlets = leads.hamlets, max(1, in_hamlets // HAMLET)
    leads.hamlets += hamlets
    size = upto - begin
    cities = rng.choices(CITIES, CITY_WEIGHTS, k=size)
    its_states = rng.choices(states, STATE_WEIGHTS, k=size)
    oldest_at, step = leads.youngest_at - PERIOD_MS, PERIOD_MS / leads.total
    for place in range(size):
        number = begin + place
        group, within = divmod(place, EVERY_NTH_IN_A_HAMLET)
        city = hamlet(first + group % hamlets) if within == 3 else cities[place]
        first_name, last_name = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        key, at = leads.key(number), oldest_at + int(number * step)
        yield {
            "id": uuid_of(at, rng),
            "team_id": leads.party.team_id,
            "procedure_id": leads.plan.id,
            "contact_id": None,
            "record_id": None,
            "status": "OPEN",
            "state_id": its_states[place],
            "data": {
                "lead_id": key,
                "name": f"{first_name} {last_name}",
                "firstname": first_name,
                "lastname": last_name,
                "phone_number": str(FIRST_PHONE + number),
                "email": f"{first_name}.{last_name}.{number}@example.com".lower(),
                "city": city,
                "score": int(rng.triangular(0, HIGHEST_SCORE, 300)),
            },
            "derived": {},
            "primary_key": key,
            "phone_key": str(FIRST_PHONE + number),
            "assigned_to": None if rng.random() < UNASSIGNED else rng.choice(leads.people_ids),
            "created_by": None,
            "belongs_to": None,
            "next_action_at": None,
            "completed_at": None,
            "cancelled_at": None,
            "deleted_at": None,
            "created_at": at,
            "updated_at": at,
        }


def hamlet(number: int) -> str:
    return f"Hamlet {number}"


def uuid_of(at: int, rng: random.Random) -> str:
    """A UUIDv7 of that moment."""
    rest = f"{rng.getrandbits(76):019x}"
    return (
        f"{at >> 16:08x}-{at & 0xFFFF:04x}-7{rest[:3]}-{'89ab'[int(rest[3], 16) % 4]}{rest[4:7]}-{rest[7:]}"
    )
