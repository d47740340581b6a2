"""Rules of access, for things called by their names: a procedure, a task of one, an entity."""

from typing import NamedTuple

from samvad.domain.accounts.access import RESOURCES
from samvad.domain.context import Resources
from samvad.domain.procedures import queries as procedures
from samvad.domain.procedures.blueprint import nearest
from samvad.kit.errors import BadRequest, NotFound
from samvad.storage import Tx


class Named(NamedTuple):
    """What a rule is about: its id, and what it is called."""

    id: str
    short_id: str


async def thing(res: Resources, team_id: str, resource: str, word: str) -> Named:
    """A procedure or entity by its short id or id, a task as `procedure/task`. Raises BadRequest, NotFound."""
    if resource not in RESOURCES:
        raise BadRequest(f"{resource!r:.60} is none of {', '.join(RESOURCES)}.")
    find = {"procedure": _procedure, "statetask": _task, "entity": _entity}[resource]
    return await res.db.team(team_id).read(find, word)


def _procedure(tx: Tx, word: str) -> Named:
    plan = procedures.find(tx, word)
    if plan is None:
        known = {row.short_id: row for row in procedures.all_by_short_id(tx)}
        raise NotFound(f"There is no procedure {word!r:.80}{nearest(word, known)}")
    return Named(plan.id, plan.short_id)


def _task(tx: Tx, word: str) -> Named:
    procedure, _, task = word.partition("/")
    if not task:
        raise BadRequest(f"A task is named with its procedure, like lead/call; got {word!r:.80}.")
    plan = procedures.find(tx, procedure)
    found = plan.tasks.get(task) if plan else None
    if plan is None or found is None:
        raise NotFound(f"There is no task {word!r:.80}.")
    return Named(found.id, f"{plan.short_id}/{found.short_id}")


def _entity(tx: Tx, word: str) -> Named:
    plan = procedures.find_entity(tx, word)
    if plan is None:
        known = {row.short_id: row for row in procedures.all_entities(tx)}
        raise NotFound(f"There is no entity {word!r:.80}{nearest(word, known)}")
    return Named(plan.entity.id, plan.entity.short_id)
