"""Everything a client must know to read the platform's answers: the 17 lists of Fetch Config, as a role sees them."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from samvad.domain.accounts import queries as accounts
from samvad.domain.accounts.access import Who
from samvad.domain.context import Context
from samvad.domain.procedures import definition as definitions
from samvad.domain.procedures import queries as procedures
from samvad.domain.procedures import types
from samvad.domain.procedures.blueprint import blueprint
from samvad.domain.procedures.model import Attribute, Definition, Form, TaskDefinition
from samvad.domain.processes.writing import check_role
from samvad.kit.errors import Forbidden
from samvad.storage import Tx

Row = dict[str, Any]


async def config(ctx: Context) -> Row:
    """Definitions of the team that this role may use; what its access hides is left out."""

    def unit(tx: Tx) -> Row:
        who = Who.of(ctx)
        team = accounts.find_team(tx, ctx.team_id)
        assert team is not None, "a key is of a team"
        rows = [it for it in procedures.all_by_short_id(tx) if _may_use(tx, who, it)]
        accesses = accounts.accesses_of(tx, who, "procedure", [row.id for row in rows])
        seen = [row for row in rows if accesses[row.id].mode != "none"]
        mine = [(row, definitions.decode(row.definition)) for row in seen]
        entities = [(row, definitions.decode_entity(row.definition)) for row in procedures.all_entities(tx)]
        stamped = _Stamp(ctx.team_id)
        attributes = [
            stamped.attribute(it, row, **owner)
            for row, parts, owner in [
                *((row, one.attributes, {"procedure": one.id}) for row, one in mine),
                *((row, one.attributes, {"entity": one.id}) for row, one in entities),
                *(
                    (row, task.attributes, {"procedure": one.id, "stateTask": task.id})
                    for row, one in mine
                    for task in one.tasks
                ),
            ]
            for it in parts
        ]
        members: dict[str, list[str]] = {}
        for it in accounts.members_of_pods(tx):
            members.setdefault(it.pod_id, []).append(it.user_id)
        forms = [(row, one, form) for row, one in mine for form in one.forms]
        return {
            "team": {
                "id": team.id,
                "name": team.name,
                "createdAt": team.created_at,
                "updatedAt": team.created_at,
            },
            "entities": [
                {
                    **stamped.common(row, one.id, one.short_id, one.name),
                    "description": one.description or None,
                    "primaryKeyAttribute": _id_of(one.attributes, one.primary_key),
                    "primaryPhoneAttribute": _id_of(one.attributes, one.primary_phone),
                }
                for row, one in entities
            ],
            "procedures": [_procedure(tx, stamped, row, one) for row, one in mine],
            "attributeTypes": [
                {"id": _named("attributeType", it), "shortId": it, "name": it, "kind": kind}
                for it, kind in ((name, one.kind) for name, one in types.TYPES.items())
            ],
            "attributes": [it for it in attributes if not it["isDerived"]],
            "derivedAttributes": [it for it in attributes if it["isDerived"]],
            "attributeGroups": [],
            "roles": [
                {**stamped.common(row, row.id, row.name, row.name), "type": row.type}
                for row in accounts.roles_oldest_first(tx)
            ],
            "pods": [
                {**stamped.common(row, row.id, row.name, row.name), "users": members.get(row.id, [])}
                for row in accounts.pods_by_name(tx)
            ],
            "taskTypes": _task_types(stamped, mine),
            "forms": [_form(stamped, row, one, form) for row, one, form in forms],
            "formFields": [
                {
                    **stamped.common(
                        row, _within(form, page.short_id, field.attribute), field.attribute, field.label
                    ),
                    "form": form.id,
                    "page": page.short_id,
                    "attribute": _field_attribute(one, field.attribute),
                    "isRequired": field.required,
                    "help": field.help or None,
                }
                for row, one, form in forms
                for page in form.pages
                for field in page.fields
            ],
            "formActionButtons": [
                {
                    **stamped.common(row, _within(form, "action", action.name), action.name, action.name),
                    "form": form.id,
                    "kind": action.kind,
                    "settings": action.settings,
                }
                for row, _, form in forms
                for action in form.actions
            ],
            "stateTasks": [_state_task(stamped, row, one, task) for row, one in mine for task in one.tasks],
            "userProfiles": [],
            "attributeConfig": {},
            "skillTypes": [],
        }

    return await ctx.db.read(unit)


class _Stamp:
    """What every element has: id, shortId, name, times and team."""

    def __init__(self, team_id: str) -> None:
        self._team_id = team_id

    def common(self, row: Any, id: str, short_id: str, name: str) -> Row:
        return {
            "id": id,
            "shortId": short_id,
            "name": name or short_id,
            "createdAt": row.created_at,
            "updatedAt": getattr(row, "updated_at", row.created_at),
            "team": self._team_id,
        }

    def attribute(
        self,
        it: Attribute,
        row: Any,
        *,
        procedure: str | None = None,
        entity: str | None = None,
        stateTask: str | None = None,
    ) -> Row:
        return {
            **self.common(row, it.id, it.short_id, it.name),
            "description": it.description or None,
            "attributeType": it.type,
            "procedure": procedure,
            "entity": entity,
            "stateTask": stateTask,
            "options": list(it.options),
            "isRequired": it.required,
            "isHidden": it.hidden,
            "isFilterable": it.filterable,
            "isDerived": it.derived is not None,
            "derivation": msgspec.to_builtins(it.derived) if it.derived is not None else None,
        }


def _procedure(tx: Tx, stamped: _Stamp, row: Any, one: Definition) -> Row:
    known = {role.name: role.id for role in accounts.roles_oldest_first(tx)}
    ids = {it.short_id: it.id for it in one.states}
    graph = one.state_graph
    return {
        **stamped.common(row, one.id, one.short_id, one.name),
        "description": one.description or None,
        "entity": one.entity_id,
        "primaryKeyAttribute": _id_of(one.attributes, one.primary_key),
        "primaryIdentifierAttribute": _id_of(one.attributes, one.primary_identifier),
        "primaryPhoneAttribute": _id_of(one.attributes, one.primary_phone),
        "primaryEmailAttribute": _id_of(one.attributes, one.primary_email),
        "defaultStartState": ids.get(one.start_state),
        "defaultCompletedState": ids.get(one.completed_state),
        "states": [
            {
                **stamped.common(row, it.id, it.short_id, it.name),
                "description": it.description or None,
                "color": it.color,
                "order": number,
                "procedure": one.id,
            }
            for number, it in enumerate(one.states)
        ],
        "stateGraph": {ids[it]: [ids[to] for to in onward] for it, onward in graph.items()}
        if graph
        else None,
        "roles": [known[it] for it in one.roles if it in known] if one.roles else list(known.values()),
    }


def _state_task(stamped: _Stamp, row: Any, one: Definition, task: TaskDefinition) -> Row:
    ids = {it.short_id: it.id for it in one.states}
    return {
        **stamped.common(row, task.id, task.short_id, task.name),
        "description": task.description or None,
        "procedure": one.id,
        "states": [ids[it] for it in (task.states or ids)],
        "taskType": task.task_type,
        "form": next((it.id for it in one.forms if it.short_id == task.form), None),
    }


def _form(stamped: _Stamp, row: Any, one: Definition, form: Form) -> Row:
    return {
        **stamped.common(row, form.id, form.short_id, form.name),
        "procedure": one.id,
        "isPublished": form.published,
        "pages": [
            {"shortId": it.short_id, "title": it.title or None, "jumps": list(it.jumps)} for it in form.pages
        ],
    }


def _task_types(stamped: _Stamp, mine: Iterable[tuple[Any, Definition]]) -> list[Row]:
    """Every kind of task the team's procedures know."""
    found: dict[str, Row] = {}
    for row, one in mine:
        for task in one.tasks:
            its = stamped.common(row, _named("taskType", task.task_type), task.task_type, task.task_type)
            found.setdefault(task.task_type, its)
    return list(found.values())


def _may_use(tx: Tx, who: Who, row: Any) -> bool:
    try:
        check_role(tx, who, blueprint(row.definition))
    except Forbidden:
        return False
    return True


def _field_attribute(one: Definition, short_id: str) -> str | None:
    every: list[Attribute] = [*one.attributes, *(it for task in one.tasks for it in task.attributes)]
    return _id_of(every, short_id)


def _id_of(attributes: Sequence[Attribute], short_id: str | None) -> str | None:
    return next((it.id for it in attributes if it.short_id == short_id), None)


def _named(kind: str, word: str) -> str:
    """An id for what has only a name: the same everywhere, and for ever."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"samvad/{kind}/{word}"))


def _within(form: Form, place: str, word: str) -> str:
    return str(uuid.uuid5(uuid.UUID(form.id), f"{place}/{word}"))
