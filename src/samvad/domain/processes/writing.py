"""Making, changing and deleting processes, many at once: the one way for the API, bulk jobs and conversations.

Everything here runs in the transaction of its caller, and decides each item by itself: what is wrong with one is
its own outcome, and its neighbours are written. What a unit needs to know stands on its `Desk`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, NamedTuple

from samvad.domain.accounts import queries as accounts
from samvad.domain.accounts.access import Access, Who
from samvad.domain.accounts.model import TeamSettings
from samvad.domain.contacts import queries as contacts
from samvad.domain.procedures import queries as procedures
from samvad.domain.procedures.blueprint import Blueprint, EntityPlan, Schema, nearest
from samvad.domain.procedures.model import LEAD
from samvad.domain.processes import deriving, queries
from samvad.domain.processes.drafts import Draft
from samvad.domain.processes.model import Process, Record, Unset, moments_after
from samvad.domain.processes.telling import Told, tell
from samvad.kit import phones
from samvad.kit.errors import BadRequest, Conflict, Forbidden, NotFound, SamvadError
from samvad.kit.ids import is_id, new_id
from samvad.storage import Tx


class Done(NamedTuple):
    """What became of an item: the process now, and as it was before (None where it is new)."""

    process: Process
    before: Process | None


Outcome = Done | SamvadError


class Target(NamedTuple):
    """Which process is meant: by its id, by its primary key, or by whichever of the two it is."""

    word: str
    by: str = "id or key"
    """`id`, `key`, `id or key`, `phone`."""

    called: str = ""
    """As the caller named it, for errors."""


@dataclass
class Desk:
    """What a unit that works on one procedure has before it."""

    tx: Tx
    plan: Blueprint
    entity: EntityPlan | None
    who: Who
    access: Access
    settings: TeamSettings
    at: int
    actor_id: str | None
    _people: dict[str, str | None] = field(default_factory=dict)
    _pods: dict[str, str | None] = field(default_factory=dict)
    _records: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def team_id(self) -> str:
        return self.who.team_id

    def user_id(self, word: str) -> str | None:
        """A user of the team by username or id."""
        if word not in self._people:
            row = accounts.find_user(self.tx, word)
            self._people[word] = row.id if row else None
        return self._people[word]

    def pod_id(self, word: str) -> str | None:
        if word not in self._pods:
            row = accounts.find_pod(self.tx, word)
            self._pods[word] = row.id if row else None
        return self._pods[word]

    def know_records(self, found: Mapping[str, dict[str, Any]]) -> None:
        self._records |= found

    def record_data(self, record_id: str | None) -> dict[str, Any] | None:
        """The data of a record, where a formula of this procedure reads it."""
        if record_id is None or not self.plan.schema.reads_record:
            return None
        if record_id not in self._records:
            found = queries.find_records(self.tx, [record_id])
            self._records |= {it.id: it.data for it in found.values()}
        return self._records.get(record_id)

    def derived(self, it: Process) -> dict[str, Any]:
        """Everything derived of a process as it is now; its counts and sums stay."""
        if not self.plan.schema.derived:
            return it.derived
        return deriving.of_process(self.plan, it, at=self.at, record=self.record_data(it.record_id))

    def phone_key(self, schema: Schema, name: str | None, data: Mapping[str, Any]) -> str | None:
        """The key under which all ways to write this phone meet."""
        return phone_key(schema, name, data, country=self.settings.country)


def phone_key(
    schema: Schema, name: str | None, data: Mapping[str, Any], *, country: str | None
) -> str | None:
    """The key under which all ways to write the phone in this attribute meet."""
    given = data.get(name) if name is not None and name in schema.settable else None
    if given is None:
        return None
    try:
        return phones.same_line(phones.digits(str(given)), country=country)
    except BadRequest:
        return None


def open_desk(tx: Tx, who: Who | None, word: str, *, at: int, actor_id: str | None = None) -> Desk:
    """Everything for work on a procedure. Raises NotFound, and Forbidden where the role may not use it.

    Without a `who` it is the system itself that works, for conversations and definitions: no rule binds it.
    """
    plan = procedures.find(tx, word)
    if plan is None:
        known = {row.short_id: row for row in procedures.all_by_short_id(tx)}
        raise NotFound(f"There is no procedure {word!r:.80}{nearest(word, known)}")
    team_id = str(tx.team_id)
    if who is None:
        who, access = Who(team_id, "", "", "ADMIN"), Access("all", "")
    else:
        check_role(tx, who, plan)
        access = accounts.access_of(tx, who, resource="procedure", resource_id=plan.id)
    entity = procedures.find_entity(tx, plan.definition.entity) if plan.definition.entity else None
    team = accounts.find_team(tx, team_id)
    settings = TeamSettings.of(team.settings if team else {})
    return Desk(tx, plan, entity, who, access, settings, at, actor_id)


def check_role(tx: Tx, who: Who, plan: Blueprint) -> None:
    """A procedure may be for some roles only; administrators use all of them."""
    if not plan.definition.roles or who.role_type == "ADMIN":
        return
    role = accounts.find_role(tx, who.role_id)
    if role is None or role.name not in plan.definition.roles:
        allowed = ", ".join(plan.definition.roles)
        raise Forbidden(f"The procedure {plan.short_id} is for the roles {allowed}; this key has another.")


def create_many(desk: Desk, drafts: Sequence[Draft], *, only_fill: bool = False) -> list[Outcome]:
    """Make processes. Where the procedure merges on the phone, one with a known phone changes the one there is.

    `only_fill` is a conversation's way: it adds what is missing, overwrites nothing, and asks for nothing.
    """
    tx, plan = desk.tx, desk.plan
    maker = _Batch(desk)
    if plan.definition.primary_key or plan.definition.merge_on_phone:
        # Whoever makes processes of this procedure at the same moment waits here, and then sees ours.
        procedures.next_numbers(tx, plan.id, 0)
    drafts = [_whole(desk, it) for it in drafts]
    known = _known_by_phone(desk, drafts)
    taken = _taken_keys(desk, drafts)
    people = _records_for(desk, drafts, maker)
    outcomes: list[Outcome] = []
    for draft in drafts:
        phone = desk.phone_key(plan.schema, plan.definition.primary_phone, draft.data)
        twin = known.get(phone) if phone and plan.definition.merge_on_phone else None
        key = plan.key_of(draft.data)
        if twin is not None and key in (None, twin.primary_key):
            now = maker.latest.get(twin.id, twin)
            outcome = _merge(desk, now, draft, maker, people.get(id(draft)), only_fill=only_fill)
        else:
            outcome = _make(desk, draft, maker, people, taken, asks=not only_fill)
        if isinstance(outcome, Done):
            if outcome.process.phone_key:
                known.setdefault(outcome.process.phone_key, outcome.process)
            if outcome.process.primary_key:
                taken.add(outcome.process.primary_key)
        outcomes.append(outcome)
    maker.number_keys()
    finished = maker.write()
    return [
        it._replace(process=finished.get(it.process.id, it.process)) if isinstance(it, Done) else it
        for it in outcomes
    ]


def update_many(desk: Desk, wanted: Sequence[tuple[Target, Draft]]) -> list[Outcome]:
    """Change processes; only what a draft names becomes another."""
    tx, plan = desk.tx, desk.plan
    if plan.definition.primary_key and any(plan.definition.primary_key in it.data for _, it in wanted):
        procedures.next_numbers(tx, plan.id, 0)
    found = resolve(desk, [target for target, _ in wanted], lock=True)
    taken = _taken_keys(desk, [draft for _, draft in wanted])
    maker = _Batch(desk)
    outcomes: list[Outcome] = []
    for target, draft in wanted:
        row = found.get(target)
        if row is None or not desk.access.sees(row):
            outcomes.append(unknown(desk, target))
            continue
        if not desk.access.may_write(row):
            outcomes.append(Forbidden(f"This key may see this {plan.definition.name}, and not change it."))
            continue
        outcomes.append(_change(desk, maker.latest.get(row.id, row), draft, maker, taken))
    maker.write()
    return outcomes


def delete(desk: Desk, target: Target) -> Process:
    """Take a process away; it stays in the database, and its primary key is free again."""
    row = resolve(desk, [target], lock=True).get(target)
    if row is None or not desk.access.sees(row):
        raise unknown(desk, target)
    if not desk.access.may_write(row):
        raise Forbidden(f"This key may see this {desk.plan.definition.name}, and not delete it.")
    gone = replace(row, deleted_at=desk.at, updated_at=desk.at)
    queries.set_processes(desk.tx, [gone])
    contacts.forget_lead(desk.tx, [gone.id], at=desk.at)
    deriving.refresh_records(desk, [gone.record_id])
    tell(desk, "delete", [Told("process", row, gone)])
    return gone


def resolve(desk: Desk, targets: Sequence[Target], *, lock: bool = False) -> dict[Target, Process]:
    """Processes by what they are called; those not there are left out."""
    tx, procedure_id = desk.tx, desk.plan.id
    ids = {it.word for it in targets if it.by in ("id", "id or key") and is_id(it.word)}
    by_id = queries.with_ids(tx, procedure_id, ids, lock=lock)
    keys = {it.word for it in targets if it.by == "key" or (it.by == "id or key" and it.word not in by_id)}
    by_key = queries.with_keys(tx, procedure_id, keys, lock=lock) if desk.plan.definition.primary_key else {}
    numbers = {it: _line(desk, it.word) for it in targets if it.by == "phone"}
    lines = {it for it in numbers.values() if it}
    by_phone = queries.with_phones(tx, procedure_id, lines, lock=lock)
    missing = {it: line for it, line in numbers.items() if line and line not in by_phone}
    by_contact = _through_contacts(desk, [it.word for it in missing], lock=lock)
    found: dict[Target, Process] = {}
    for it in targets:
        row = by_id.get(it.word) if it.by != "key" else None
        if row is None and it.by in ("key", "id or key"):
            row = by_key.get(it.word)
        if it.by == "phone":
            row = by_phone.get(numbers[it] or "") or by_contact.get(it.word)
        if row is not None:
            found[it] = row
    return found


def unknown(desk: Desk, target: Target) -> NotFound:
    called = target.called or target.word
    return NotFound(f"{desk.plan.definition.name} {called:.100} not found")


class _Batch:
    """What a unit makes and changes, written at its end in few statements."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.latest: dict[str, Process] = {}
        self.befores: dict[str, Process | None] = {}
        self.steps: list[Told] = []
        self.keyless: list[str] = []
        self.changed_records: list[str] = []

    def add(self, before: Process | None, after: Process) -> Done:
        self.befores.setdefault(after.id, before)
        self.latest[after.id] = after
        self.steps.append(Told("process", before, after))
        return Done(after, before)

    def number_keys(self) -> None:
        """Give numbers to what came without a key; all of them at once, and none to what was refused."""
        plan = self.desk.plan
        if not self.keyless:
            return
        numbers = procedures.next_numbers(self.desk.tx, plan.id, len(self.keyless))
        for process_id, number in zip(self.keyless, numbers, strict=True):
            made = self.latest[process_id]
            value = plan.generated(number)
            assert plan.definition.primary_key is not None
            data = {plan.definition.primary_key: value, **made.data}
            numbered = replace(made, data=data, primary_key=str(value))
            numbered = replace(numbered, derived=self.desk.derived(numbered))
            self.latest[process_id] = numbered
        renewed = {it: self.latest[it] for it in self.keyless}
        self.steps = [
            it._replace(after=renewed[it.after.id]) if it.before is None and it.after.id in renewed else it
            for it in self.steps
        ]

    def write(self) -> dict[str, Process]:
        desk, tx = self.desk, self.desk.tx
        new = [it for it in self.latest.values() if self.befores[it.id] is None]
        only_data: list[Process] = []
        others: list[Process] = []
        for it in self.latest.values():
            before = self.befores[it.id]
            if before is not None:
                (only_data if _are_alike(before, it) else others).append(it)
        queries.add_processes(tx, new)
        queries.set_data(tx, only_data)
        queries.set_processes(tx, others)
        _link_contacts(desk, new)
        touched = [it.record_id for it in self.latest.values()]
        touched += [it.record_id for it in self.befores.values() if it is not None]
        deriving.refresh_readers(desk, self.changed_records, but=self.latest)
        deriving.refresh_records(desk, touched)
        tell(desk, "create", [it for it in self.steps if it.before is None])
        tell(desk, "update", [it for it in self.steps if it.before is not None])
        return self.latest


def _make(
    desk: Desk,
    draft: Draft,
    maker: _Batch,
    people: Mapping[int, Record | SamvadError],
    taken: set[str],
    *,
    asks: bool,
) -> Outcome:
    plan = desk.plan
    data, problems = plan.schema.take(
        draft.data, None if asks else {}, zone=desk.settings.time_zone, lenient=desk.settings.ignores_unknown
    )
    owner = people.get(id(draft))
    if isinstance(owner, SamvadError):
        problems += owner.problems
    state = plan.states.get(draft.state) if draft.state else plan.start_state
    if draft.state and (problem := plan.state_problem(draft.state, now_id=None)):
        problems.append(problem)
    changes, more = _people(desk, draft)
    problems += more
    key = plan.key_of(data)
    if plan.definition.primary_key and key is None and plan.definition.generate is None:
        problems.append(f"{plan.definition.primary_key} is required: it is the primary key.")
    if problems or state is None:
        return BadRequest(*_once(problems))
    if key is not None and key in taken:
        name = plan.definition.primary_key
        return Conflict(f"There is a {plan.definition.name} with {name} {key!r:.80} already.")
    if key is not None and (number := plan.number_of(key)) is not None:
        procedures.pass_number(desk.tx, plan.id, number)
    status = draft.status or "OPEN"
    made = Process(
        id=new_id(),
        team_id=desk.team_id,
        procedure_id=plan.id,
        contact_id=draft.contact_id,
        record_id=owner.id if isinstance(owner, Record) else None,
        status=status,
        state_id=state.id,
        data=data,
        derived={},
        primary_key=key,
        phone_key=desk.phone_key(plan.schema, plan.definition.primary_phone, data),
        assigned_to=None,
        created_by=desk.actor_id,
        belongs_to=None,
        next_action_at=None,
        completed_at=None,
        cancelled_at=None,
        deleted_at=None,
        created_at=desk.at,
        updated_at=desk.at,
    )
    made = replace(made, **changes | moments_after(status, "OPEN", at=desk.at))
    if key is None and plan.definition.generate is not None and plan.definition.primary_key:
        maker.keyless.append(made.id)
    else:
        made = replace(made, derived=desk.derived(made))
    return maker.add(None, made)


def _merge(
    desk: Desk,
    now: Process,
    draft: Draft,
    maker: _Batch,
    owner: Record | SamvadError | None,
    *,
    only_fill: bool,
) -> Outcome:
    """The person is here already: what is new of them is added to the process there is."""
    if isinstance(owner, SamvadError):
        return owner
    if only_fill:
        missing = {name: value for name, value in draft.data.items() if name not in now.data}
        draft = Draft(data=missing, contact_id=draft.contact_id)
    elif not desk.access.may_write(now):
        return Conflict(
            f"There is a {desk.plan.definition.name} with this phone already, and this key may not change it."
        )
    about = owner.id if owner is not None and now.record_id is None else None
    return _change(desk, now, replace(draft, record=None), maker, set(), record_id=about)


def _change(
    desk: Desk,
    now: Process,
    draft: Draft,
    maker: _Batch,
    taken: set[str],
    *,
    record_id: str | None = None,
) -> Outcome:
    plan = desk.plan
    data = now.data
    problems: list[str] = []
    if draft.data:
        data, problems = plan.schema.take(
            draft.data, now.data, zone=desk.settings.time_zone, lenient=desk.settings.ignores_unknown
        )
    changes, more = _people(desk, draft)
    problems += more
    if draft.state:
        if problem := plan.state_problem(draft.state, now_id=now.state_id):
            problems.append(problem)
        else:
            changes["state_id"] = plan.states[draft.state].id
    if draft.record is not None:
        problems.append("record is given when a process is created; it cannot be changed with the process.")
    key = now.primary_key
    if plan.definition.primary_key in draft.data:
        key = plan.key_of(data)
        if key is None:
            problems.append(
                f"{plan.definition.primary_key} is the primary key: it can be changed, not taken away."
            )
    if problems:
        return BadRequest(*_once(problems))
    if key != now.primary_key:
        if key in taken:
            name = plan.definition.primary_key
            return Conflict(f"There is a {plan.definition.name} with {name} {key!r:.80} already.")
        taken.add(str(key))
        if (number := plan.number_of(str(key))) is not None:
            procedures.pass_number(desk.tx, plan.id, number)
        changes["primary_key"] = key
    if draft.status:
        changes |= {"status": draft.status, **moments_after(draft.status, now.status, at=desk.at)}
    if draft.contact_id and now.contact_id is None:
        changes["contact_id"] = draft.contact_id
    if record_id is not None:
        changes["record_id"] = record_id
    if data is not now.data and plan.definition.primary_phone in draft.data:
        changes["phone_key"] = desk.phone_key(plan.schema, plan.definition.primary_phone, data)
    after = replace(now, data=data, updated_at=desk.at, **changes)
    if plan.schema.derived:
        after = replace(after, derived=desk.derived(after))
    if _are_alike(now, after) and after.data == now.data and after.derived == now.derived:
        return Done(now, now)
    return maker.add(now, after)


def _people(desk: Desk, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    """What a draft says of assignee, pod and next action, and what is wrong with it."""
    changes: dict[str, Any] = {}
    problems: list[str] = []
    if not isinstance(draft.next_action_at, Unset):
        changes["next_action_at"] = draft.next_action_at
    for name, column, given, find in (
        ("assignedTo", "assigned_to", draft.assigned_to, desk.user_id),
        ("belongsTo", "belongs_to", draft.belongs_to, desk.pod_id),
    ):
        if isinstance(given, Unset):
            continue
        found = find(given) if given is not None else None
        if given is not None and found is None:
            what = "user" if name == "assignedTo" else "pod"
            problems.append(f"{name}: there is no {what} {given!r:.80} in this team.")
        changes[column] = found
    return changes, problems


def _whole(desk: Desk, draft: Draft) -> Draft:
    """A procedure without an entity keeps in the process what others keep in its record."""
    if draft.record is None or desk.entity is not None:
        return draft
    return replace(draft, data={**draft.record, **draft.data}, record=None)


def _known_by_phone(desk: Desk, drafts: Iterable[Draft]) -> dict[str, Process]:
    definition = desk.plan.definition
    if not definition.merge_on_phone:
        return {}
    lines = {desk.phone_key(desk.plan.schema, definition.primary_phone, it.data) for it in drafts}
    return queries.with_phones(desk.tx, desk.plan.id, {it for it in lines if it}, lock=True)


def _taken_keys(desk: Desk, drafts: Iterable[Draft]) -> set[str]:
    keys = {desk.plan.key_of(it.data) for it in drafts}
    return set(queries.with_keys(desk.tx, desk.plan.id, {it for it in keys if it is not None}))


def _records_for(desk: Desk, drafts: Sequence[Draft], maker: _Batch) -> dict[int, Record | SamvadError]:
    """The record of each draft that names one: found by its key or phone, and changed; or made. By id(draft)."""
    entity = desk.entity
    wanted = [it for it in drafts if it.record is not None]
    if entity is None or not wanted:
        return {}
    its = entity.entity
    keys = {it: entity.key_of(draft.record or {}) for it, draft in enumerate(wanted)}
    lines = {
        it: desk.phone_key(entity.schema, its.primary_phone, draft.record or {})
        for it, draft in enumerate(wanted)
    }
    by_key, by_phone = queries.records_with(
        desk.tx,
        its.id,
        keys={it for it in keys.values() if it is not None},
        phones={it for it in lines.values() if it is not None},
    )
    found: dict[int, Record | SamvadError] = {}
    befores: dict[str, Record | None] = {}
    latest: dict[str, Record] = {}
    for it, draft in enumerate(wanted):
        known = by_key.get(keys[it] or "") or (by_phone.get(lines[it] or "") if keys[it] is None else None)
        known = latest.get(known.id, known) if known else None
        data, problems = entity.schema.take(
            draft.record or {},
            known.data if known else None,
            zone=desk.settings.time_zone,
            lenient=desk.settings.ignores_unknown,
        )
        if problems:
            found[id(draft)] = BadRequest(*(f"record.data: {problem}" for problem in problems))
            continue
        at = desk.at
        base = known or Record(
            id=new_id(),
            team_id=desk.team_id,
            entity_id=its.id,
            data={},
            derived={},
            primary_key=None,
            phone_key=None,
            assigned_to=None,
            created_by=desk.actor_id,
            belongs_to=None,
            deleted_at=None,
            created_at=at,
            updated_at=at,
        )
        after = replace(
            base,
            data=data,
            primary_key=entity.key_of(data),
            phone_key=desk.phone_key(entity.schema, its.primary_phone, data),
            updated_at=at if known is None or data != known.data else known.updated_at,
        )
        after = replace(after, derived=deriving.of_record(entity, after, at=at))
        befores.setdefault(after.id, known)
        latest[after.id] = after
        if after.primary_key:
            by_key[after.primary_key] = after
        if after.phone_key:
            by_phone[after.phone_key] = after
        found[id(draft)] = after
    new = [it for it in latest.values() if befores[it.id] is None]
    changed = [it for it in latest.values() if befores[it.id] is not None and befores[it.id] != it]
    maker.changed_records = [it.id for it in changed]
    desk.know_records({it.id: it.data for it in latest.values()})
    queries.add_records(desk.tx, new)
    queries.set_records(desk.tx, changed)
    tell(desk, "create", [Told("record", None, it) for it in new])
    tell(desk, "update", [Told("record", befores[it.id], it) for it in changed])
    return found


def _link_contacts(desk: Desk, new: Sequence[Process]) -> None:
    """A lead that comes before or beside its conversation is that person's: their messages carry it."""
    if desk.plan.short_id != LEAD:
        return
    pairs = [(it.contact_id, it.id) for it in new if it.contact_id]
    numbers: dict[str, str] = {}
    for it in new:
        given = it.data.get(desk.plan.definition.primary_phone or "")
        if it.phone_key and not it.contact_id:
            numbers |= {it.phone_key: it.id, phones.digits(given): it.id}
    pairs += [(contact_id, numbers[it]) for contact_id, it in contacts.known_by_phone(desk.tx, list(numbers))]
    contacts.set_lead_where_none(desk.tx, pairs, at=desk.at)


def _through_contacts(desk: Desk, words: Sequence[str], *, lock: bool) -> dict[str, Process]:
    """Somebody whose number is not the one in the lead any more is found through their conversation."""
    if not words:
        return {}
    digits = {}
    for word in words:
        try:
            digits[phones.digits(word)] = word
        except BadRequest:
            continue
    leads = contacts.leads_of_phones(desk.tx, list(digits))
    found = queries.with_ids(desk.tx, desk.plan.id, set(leads.values()), lock=lock)
    return {digits[phone]: found[lead] for phone, lead in leads.items() if lead in found}


def _line(desk: Desk, word: str) -> str | None:
    try:
        return phones.same_line(phones.digits(word), country=desk.settings.country)
    except BadRequest:
        return None


def _are_alike(before: Process, after: Process) -> bool:
    """Whether nothing is another but `data`, `derived` and when it was changed."""
    return _columns(before) == _columns(after)


_columns = attrgetter(*(it for it in queries.CHANGED if it != "updated_at"))


def _once(problems: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(problems))
