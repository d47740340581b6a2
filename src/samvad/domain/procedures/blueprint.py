"""A definition made ready for work: looked up by short id and id, its coercers built once. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import Any

from samvad.domain.procedures import formulas, types
from samvad.domain.procedures.definition import decode, decode_entity
from samvad.domain.procedures.model import (
    Attribute,
    Definition,
    Derived,
    Entity,
    State,
    TaskDefinition,
    by_short_id,
)

KEPT = 512  # definitions made ready, of all teams of this process

LONGEST_KEY = 500  # characters of a primary key


class Schema:
    """The attributes of a process, a record or a task: what may stand in its `data`."""

    def __init__(self, attributes: Sequence[Attribute]) -> None:
        self.attributes = by_short_id(attributes)
        self.settable = {it.short_id: it for it in attributes if it.derived is None}
        self.derived = {it.short_id: it for it in attributes if it.derived is not None}
        self.required = [it.short_id for it in attributes if it.required and it.derived is None]

    def take(
        self, given: Mapping[str, Any], into: Mapping[str, Any] | None, *, zone: str, lenient: bool = False
    ) -> tuple[dict[str, Any], list[str]]:
        """What `data` is after this was given, and everything that is wrong with it.

        `into` is what there was, None for something new. A null takes a value away. `lenient` leaves out what
        is not declared instead of naming it.
        """
        data = dict(into or ())
        problems: list[str] = []
        for name, value in given.items():
            attribute = self.settable.get(name)
            if attribute is None:
                if name in self.derived:
                    problems.append(f"{name} is derived: it is computed, and cannot be set.")
                elif not lenient:
                    problems.append(f"There is no attribute {name!r:.80}{nearest(name, self.settable)}")
            elif value is None:
                data.pop(name, None)
            else:
                try:
                    data[name] = types.coercer_for(attribute, zone=zone)(value)
                except types.Mismatch as error:
                    problems.append(str(error))
        missing = [name for name in self.required if name not in data]
        if missing and (into is None or any(name in given for name in missing)):
            problems += [f"{name} is required." for name in missing if name not in _named_by(problems)]
        return data, problems

    def ordered(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Values in the order in which they are declared; what is declared no more is not shown."""
        return {name: data[name] for name in self.settable if name in data}

    def ordered_derived(self, derived: Mapping[str, Any]) -> dict[str, Any]:
        return {name: derived.get(name) for name in self.derived}

    @cached_property
    def formulas(self) -> dict[str, formulas.Formula]:
        """In the order in which they are declared: one may read those above it."""
        return {
            name: formulas.compile(it.derived.formula)
            for name, it in self.derived.items()
            if it.derived is not None and it.derived.formula is not None
        }

    @cached_property
    def reads_record(self) -> bool:
        """Whether a formula reads the record that a process is about."""
        return any(it.inputs.record for it in self.formulas.values())

    @cached_property
    def aggregates(self) -> dict[str, Derived]:
        """Counts and sums over related objects."""
        return {
            name: it.derived
            for name, it in self.derived.items()
            if it.derived is not None and it.derived.formula is None
        }


@dataclass(frozen=True)
class Blueprint:
    """A procedure, ready for work."""

    definition: Definition

    @property
    def id(self) -> str:
        return self.definition.id

    @property
    def short_id(self) -> str:
        return self.definition.short_id

    @cached_property
    def schema(self) -> Schema:
        return Schema(self.definition.attributes)

    @cached_property
    def states(self) -> dict[str, State]:
        return by_short_id(self.definition.states)  # type: ignore[return-value]

    @cached_property
    def state_by_id(self) -> dict[str, State]:
        return {it.id: it for it in self.definition.states}

    @cached_property
    def start_state(self) -> State:
        return self.states[self.definition.start_state]

    @cached_property
    def tasks(self) -> dict[str, TaskDefinition]:
        return by_short_id(self.definition.tasks)  # type: ignore[return-value]

    @cached_property
    def task_by_id(self) -> dict[str, TaskDefinition]:
        return {it.id: it for it in self.definition.tasks}

    @cached_property
    def task_schemas(self) -> dict[str, Schema]:
        """By the id of the task's definition."""
        return {it.id: Schema(it.attributes) for it in self.definition.tasks}

    def state_problem(self, word: str, *, now_id: str | None) -> str | None:
        """Why a process that stands in `now_id` (None: nowhere yet) may not go to this state."""
        state = self.states.get(word)
        if state is None:
            there_are = ", ".join(self.states)
            return f"There is no state {word!r:.80}{nearest(word, self.states)} There are {there_are}."
        graph = self.definition.state_graph
        now = self.state_by_id.get(now_id or "")
        if graph is None or now is None or now.short_id == word or word in graph.get(now.short_id, ()):
            return None
        onward = ", ".join(graph.get(now.short_id, ())) or "nowhere"
        return (
            f"A {self.definition.name} in state {now.short_id} cannot go to {word}; it can go to: {onward}."
        )

    def key_of(self, data: Mapping[str, Any]) -> str | None:
        """The primary key as text, by which it is unique."""
        name = self.definition.primary_key
        return key_text(data.get(name)) if name else None

    def generated(self, number: int) -> Any:
        """The primary key with this number."""
        maker = self.definition.generate
        assert maker is not None
        assert self.definition.primary_key is not None
        attribute = self.schema.attributes[self.definition.primary_key]
        if types.kind_of(attribute) == "number":
            return number
        return f"{maker.prefix}{number:0{maker.digits}d}"

    def number_of(self, key: str) -> int | None:
        """The number in a key that the generator could have made: it must not make it again."""
        maker = self.definition.generate
        if maker is None or not key.startswith(maker.prefix):
            return None
        rest = key[len(maker.prefix) :]
        return int(rest) if rest.isascii() and rest.isdigit() and len(rest) <= 18 else None


@lru_cache(KEPT)
def blueprint(definition: str) -> Blueprint:
    """By the text it is kept in: whatever changes, changes the text."""
    return Blueprint(decode(definition))


@dataclass(frozen=True)
class EntityPlan:
    """An entity, ready for work."""

    entity: Entity

    @cached_property
    def schema(self) -> Schema:
        return Schema(self.entity.attributes)

    def key_of(self, data: Mapping[str, Any]) -> str | None:
        return key_text(data.get(self.entity.primary_key)) if self.entity.primary_key else None


@lru_cache(KEPT)
def entity_plan(definition: str) -> EntityPlan:
    return EntityPlan(decode_entity(definition))


def key_text(value: Any) -> str | None:
    """A primary key's value as it is compared: 1 and "1" are one key."""
    return None if value is None else str(value)


def nearest(word: str, known: Mapping[str, Any]) -> str:
    """The end of a sentence, with what was probably meant."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else "."


def _named_by(problems: Sequence[str]) -> set[str]:
    """Attributes that a problem was found with already: they are there, and wrong."""
    return {problem.split(" ", 1)[0] for problem in problems}
