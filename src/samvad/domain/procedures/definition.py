"""Whether a definition holds together, how it changes, and where a change may lose something. No I/O."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from samvad.domain.procedures import formulas, types
from samvad.domain.procedures.model import (
    COLOR,
    LONGEST_NAME,
    MOST_ATTRIBUTES,
    MOST_STATES,
    MOST_TASKS,
    RESERVED,
    SHORT_ID,
    Attribute,
    Definition,
    Derived,
    Entity,
    Form,
    State,
    TaskDefinition,
    by_short_id,
    fingerprint_of,
)
from samvad.kit.ids import new_id

KEY_TYPES = ("stringId", "integerId", "string", "integer", "number", "phone", "email", "name")
OF_PROCESS, OF_RECORD = ("tasks",), ("processes",)
"""What an aggregate may look at: the tasks of a process, the processes of a record."""

Part = TypeVar("Part", Attribute, State, TaskDefinition, Form)


class Risk(NamedTuple):
    """Where rows may lose something: values of an attribute in processes, tasks or records, or a state or task."""

    kind: Literal["process", "task", "record", "state", "tasks"]
    owner: str
    """Id of the procedure or entity."""

    part: str = ""
    """Id of the state, or of the task's definition."""

    before: Attribute | None = None
    after: Attribute | None = None


class Change(NamedTuple):
    """One difference between what is there and what is wanted."""

    mark: str
    """`+` comes, `-` goes, `~` becomes another."""

    path: str
    words: str
    risk: Risk | None = None


def decode(text: str) -> Definition:
    return msgspec.json.decode(text, type=Definition)


def decode_entity(text: str) -> Entity:
    return msgspec.json.decode(text, type=Entity)


def encode(it: Definition | Entity) -> str:
    return msgspec.json.encode(it).decode()


def with_ids(wanted: Definition, known: Definition | None, *, id: str) -> Definition:
    """The definition with the ids its parts have already, and new ones for what is new; names filled in."""
    old = known or Definition(short_id=wanted.short_id)
    old_tasks = by_short_id(old.tasks)
    tasks = tuple(
        msgspec.structs.replace(
            it,
            attributes=_numbered(
                it.attributes, old_tasks[it.short_id].attributes if it.short_id in old_tasks else ()
            ),
            task_type=it.task_type or it.short_id,
        )
        for it in _numbered(wanted.tasks, old.tasks)
    )
    states = _numbered(wanted.states, old.states)
    return msgspec.structs.replace(
        wanted,
        id=id,
        name=wanted.name or _spoken(wanted.short_id),
        attributes=_numbered(wanted.attributes, old.attributes),
        states=states,
        start_state=wanted.start_state or (states[0].short_id if states else ""),
        completed_state=wanted.completed_state or (states[-1].short_id if states else ""),
        tasks=tasks,
        forms=_numbered(wanted.forms, old.forms),
    )


def entity_with_ids(wanted: Entity, known: Entity | None, *, id: str) -> Entity:
    old = known.attributes if known else ()
    return msgspec.structs.replace(
        wanted,
        id=id,
        name=wanted.name or _spoken(wanted.short_id),
        attributes=_numbered(wanted.attributes, old),
    )


def problems_of(it: Definition, *, entities: Mapping[str, Entity]) -> list[str]:
    """Everything that is wrong with a procedure, each as a sentence that names the place."""
    at = f"procedure {it.short_id}"
    found = list(_names(at, [it]))
    found += _attributes(at, it.attributes, aggregates=OF_PROCESS)
    of_tasks = {attribute.short_id for task in it.tasks for attribute in task.attributes}
    found += [
        f"{at}: attribute {one.short_id}: no task has an attribute {word!r} to sum{_nearest(word, of_tasks)}"
        for one in it.attributes
        if one.derived is not None and (word := one.derived.sum) is not None and word not in of_tasks
    ]
    found += _states(at, it)
    found += _keys(at, it)
    if it.entity is not None and it.entity not in entities:
        found.append(f"{at}: entity {it.entity!r} is not known{_nearest(it.entity, entities)}")
    found += _unique(f"{at}: task", [task.short_id for task in it.tasks], most=MOST_TASKS)
    known_states, known_forms = {state.short_id for state in it.states}, {form.short_id for form in it.forms}
    for task in it.tasks:
        here = f"{at}: task {task.short_id}"
        found += _names(here, [task])
        found += _attributes(here, task.attributes, aggregates=())
        found += [
            f"{here}: state {word!r} is not one of the procedure's{_nearest(word, known_states)}"
            for word in task.states
            if word not in known_states
        ]
        if task.form is not None and task.form not in known_forms:
            found.append(f"{here}: form {task.form!r} is not known{_nearest(task.form, known_forms)}")
    known = {attribute.short_id for attribute in it.attributes} | of_tasks
    found += _unique(f"{at}: form", [form.short_id for form in it.forms])
    for form in it.forms:
        found += [
            f"{at}: form {form.short_id}: attribute {field.attribute!r} is not known{_nearest(field.attribute, known)}"
            for page in form.pages
            for field in page.fields
            if field.attribute not in known
        ]
    return found


def entity_problems(it: Entity) -> list[str]:
    at = f"entity {it.short_id}"
    found = list(_names(at, [it]))
    found += _attributes(at, it.attributes, aggregates=OF_RECORD)
    attributes = by_short_id(it.attributes)
    found += _key(at, "primaryKey", it.primary_key, attributes, KEY_TYPES)
    found += _key(at, "primaryPhone", it.primary_phone, attributes, ("phone", "string"))
    return found


def changes_between(old: Definition | None, new: Definition) -> list[Change]:
    """What an `apply` would do to a procedure, as a person reads it; nothing where they are the same."""
    if old is None:
        return [
            Change(
                "+",
                f"procedure {new.short_id}",
                f"{len(new.attributes)} attributes, {len(new.states)} states",
            )
        ]
    at = f"procedure {new.short_id}"
    found = list(_plain(at, old, new, but=("attributes", "states", "tasks", "forms", "id", "entityId")))
    found += _attribute_changes(at, old.attributes, new.attributes, Risk("process", old.id))
    for mark, short_id, state, other in _paired(old.states, new.states):
        risk = Risk("state", old.id, state.id) if state is not None and other is None else None
        found.append(Change(mark, f"{at}: state {short_id}", _words(state, other), risk))
    found += _order(f"{at}: states", old.states, new.states)
    for mark, short_id, task, other_task in _paired(old.tasks, new.tasks):
        here = f"{at}: task {short_id}"
        if task is None or other_task is None:
            found.append(Change(mark, here, "", Risk("tasks", old.id, task.id) if task else None))
            continue
        found += _plain(here, task, other_task, but=("attributes", "id"))
        found += _attribute_changes(
            here, task.attributes, other_task.attributes, Risk("task", old.id, task.id)
        )
    found += _order(f"{at}: tasks", old.tasks, new.tasks)
    for mark, short_id, form, other_form in _paired(old.forms, new.forms):
        found.append(Change(mark, f"{at}: form {short_id}", _words(form, other_form)))
    found += _order(f"{at}: forms", old.forms, new.forms)
    return found


def entity_changes(old: Entity | None, new: Entity) -> list[Change]:
    if old is None:
        return [Change("+", f"entity {new.short_id}", f"{len(new.attributes)} attributes")]
    at = f"entity {new.short_id}"
    return [
        *_plain(at, old, new, but=("attributes", "id")),
        *_attribute_changes(at, old.attributes, new.attributes, Risk("record", old.id)),
    ]


def _attribute_changes(
    at: str,
    old: Sequence[Attribute],
    new: Sequence[Attribute],
    risk: Risk,
) -> Iterator[Change]:
    for mark, short_id, before, after in _paired(old, new):
        path = f"{at}: attribute {short_id}"
        if before is None:
            yield Change(mark, path, after.type if after else "")
            continue
        loses = risk._replace(before=before, after=after) if _may_lose(before, after) else None
        yield Change(mark, path, _words(before, after) or before.type, loses)
    yield from _order(f"{at}: attributes", old, new)


def _may_lose(before: Attribute, after: Attribute | None) -> bool:
    """Whether a value of the one may be none of the other: only values that were set can be lost."""
    if before.derived is not None:
        return False
    if after is None or after.derived is not None or before.type != after.type:
        return True
    return before.options != after.options or (after.filterable and not before.filterable)


def _order(at: str, old: Sequence[Part], new: Sequence[Part]) -> Iterator[Change]:
    """People see parts in their order: another order is a change, and loses nothing."""
    before, after = by_short_id(old), by_short_id(new)
    if [it for it in before if it in after] != [it for it in after if it in before]:
        yield Change("~", at, f"in the order {_short(list(after))}")


def _paired(old: Sequence[Part], new: Sequence[Part]) -> Iterator[tuple[str, str, Part | None, Part | None]]:
    """Parts that come, go or change, by short id; what is the same is left out."""
    before: Mapping[str, Part] = by_short_id(old)
    after: Mapping[str, Part] = by_short_id(new)
    for short_id in [*after, *(it for it in before if it not in after)]:
        one, other = before.get(short_id), after.get(short_id)
        if one == other:
            continue
        yield "+" if one is None else "-" if other is None else "~", short_id, one, other


def _plain(at: str, old: Any, new: Any, *, but: tuple[str, ...]) -> Iterator[Change]:
    one, other = msgspec.to_builtins(old), msgspec.to_builtins(new)
    for key in dict.fromkeys([*one, *other]):
        if key not in but and one.get(key) != other.get(key):
            yield Change("~", at, f"{key}: {_short(one.get(key))} → {_short(other.get(key))}")


def _words(before: Any, after: Any) -> str:
    if before is None or after is None:
        return ""
    one, other = msgspec.to_builtins(before), msgspec.to_builtins(after)
    return ", ".join(
        f"{key}: {_short(one.get(key))} → {_short(other.get(key))}"
        for key in dict.fromkeys([*one, *other])
        if key != "id" and one.get(key) != other.get(key)
    )


def _short(value: Any) -> str:
    word = "–" if value is None else json.dumps(value, ensure_ascii=False)
    return word if len(word) <= 60 else f"{word[:57]}…"


def _numbered(wanted: Sequence[Part], known: Sequence[Part]) -> tuple[Part, ...]:
    ids = {it.short_id: it.id for it in known}
    return tuple(
        msgspec.structs.replace(it, id=ids.get(it.short_id) or new_id(), name=it.name or _spoken(it.short_id))
        for it in wanted
    )


def _spoken(short_id: str) -> str:
    """`phone_number` → Phone number."""
    return short_id.replace("_", " ").strip().capitalize() or short_id


def _names(at: str, parts: Iterable[Any]) -> Iterator[str]:
    for it in parts:
        if SHORT_ID.fullmatch(it.short_id) is None:
            yield f"{at}: a short id is letters, digits and _, at most 64, not a digit first; got {it.short_id!r:.80}."
        if len(it.name) > LONGEST_NAME:
            yield f"{at}: a name has at most {LONGEST_NAME} characters."


def _attributes(at: str, attributes: Sequence[Attribute], *, aggregates: tuple[str, ...]) -> Iterator[str]:
    yield from _unique(f"{at}: attribute", [it.short_id for it in attributes], most=MOST_ATTRIBUTES)
    known = {it.short_id for it in attributes}
    for it in attributes:
        here = f"{at}: attribute {it.short_id}"
        yield from _names(here, [it])
        if it.short_id in RESERVED:
            yield f"{here}: {it.short_id} is a word of the API itself; choose another short id."
        yield from (f"{here}: {problem}" for problem in types.problems_of(it))
        if it.derived is not None:
            yield from (f"{here}: {problem}" for problem in _derived(it.derived, known, aggregates))


def _derived(how: Derived, known: set[str], aggregates: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with how a value is made; that there is one way, `types` has seen to."""
    given = [name for name in ("formula", "count", "sum") if getattr(how, name) is not None]
    if len(given) != 1:
        return
    if how.formula is not None:
        try:
            formulas.compile(how.formula)
        except formulas.NotAFormula as error:
            yield f"formula: {error}"
            return
        read = formulas.inputs(how.formula)
        yield from (
            f"formula: there is no attribute {word!r}{_nearest(word, known)}"
            for word in sorted((read.data | read.derived) - known)
        )
        return
    word = how.count if how.count is not None else how.of
    if word not in aggregates:
        there_are = ", ".join(aggregates) or "nothing here"
        yield f"{given[0]} looks at {word!r}; it can look at {there_are}."
    yield from (
        f"where: {name} is compared with an object; a count or sum knows a value, or a list of them."
        for name, wanted in (how.where or {}).items()
        if isinstance(wanted, Mapping)
    )


def _states(at: str, it: Definition) -> Iterator[str]:
    known = {state.short_id for state in it.states}
    if not it.states:
        yield f"{at}: a procedure needs at least one state."
    yield from _unique(f"{at}: state", [state.short_id for state in it.states], most=MOST_STATES)
    yield from _names(f"{at}: state", it.states)
    for state in it.states:
        if state.color is not None and COLOR.fullmatch(state.color) is None:
            yield f"{at}: state {state.short_id}: a color is like #3B82F6; got {state.color!r:.40}."
    for name, word in (("startState", it.start_state), ("completedState", it.completed_state)):
        if word and word not in known:
            yield f"{at}: {name} {word!r} is not one of its states{_nearest(word, known)}"
    for source, targets in (it.state_graph or {}).items():
        for word in (source, *targets):
            if word not in known:
                yield f"{at}: stateGraph: {word!r} is not one of its states{_nearest(word, known)}"


def _keys(at: str, it: Definition) -> Iterator[str]:
    attributes = by_short_id(it.attributes)
    yield from _key(at, "primaryKey", it.primary_key, attributes, KEY_TYPES)
    yield from _key(at, "primaryIdentifier", it.primary_identifier, attributes, ())
    yield from _key(at, "primaryPhone", it.primary_phone, attributes, ("phone", "string"))
    yield from _key(at, "primaryEmail", it.primary_email, attributes, ("email", "string"))
    if it.generate is not None:
        if it.primary_key is None:
            yield f"{at}: generate makes primary keys, but there is no primaryKey."
        if not 1 <= it.generate.digits <= 18:
            yield f"{at}: generate: digits must be from 1 to 18; got {it.generate.digits}."
        if len(it.generate.prefix) > 40:
            yield f"{at}: generate: a prefix has at most 40 characters."
        key = attributes.get(it.primary_key or "")
        if (
            key is not None
            and key.type in types.TYPES
            and types.kind_of(key) == "number"
            and it.generate.prefix
        ):
            yield f"{at}: generate: {key.short_id} is a number, so its keys have no prefix."
    if it.merge_on_phone and it.primary_phone is None:
        yield f"{at}: mergeOnPhone needs a primaryPhone."


def _key(
    at: str, name: str, word: str | None, attributes: Mapping[str, Attribute], wanted: tuple[str, ...]
) -> Iterator[str]:
    if word is None:
        return
    attribute = attributes.get(word)
    if attribute is None:
        yield f"{at}: {name} {word!r} is not one of its attributes{_nearest(word, attributes)}"
    elif attribute.derived is not None and wanted:
        yield f"{at}: {name} {word!r} is derived; it must be an attribute that is set."
    elif wanted and attribute.type not in wanted:
        yield f"{at}: {name} {word!r} must be of a type among {', '.join(wanted)}; it is {attribute.type}."


def _unique(at: str, words: Sequence[str], *, most: int = MOST_TASKS) -> Iterator[str]:
    if len(words) > most:
        yield f"{at}: at most {most}; got {len(words)}."
    seen: set[str] = set()
    for word in words:
        if fingerprint_of(word) in seen:
            yield f"{at} {word}: there are two of that short id (capitals make no difference)."
        seen.add(fingerprint_of(word))


def _nearest(word: str | None, known: Iterable[str]) -> str:
    """The end of a sentence, with what was probably meant."""
    near = get_close_matches(word or "", list(known), n=1)
    return f"; did you mean {near[0]}?" if near else "."
