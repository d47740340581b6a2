"""Who sees which rows: the rule that decides, and that Python and SQL answer alike on both databases."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, Text

from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts import predicates, queries, rules
from samvad.domain.accounts.access import MODES, Access, Rule, Who, deciding
from samvad.domain.accounts.tables import access_rules, pod_members, pods, users
from samvad.domain.events.tables import events
from samvad.kit.errors import BadRequest, NotFound
from samvad.storage import Database, Tx, every_team, open_database
from tests.domain.quick import Small

things = Table(
    "test_thing",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("assigned_to", Text),
    Column("created_by", Text),
    Column("belongs_to", Text),
)
bare = Table(
    "test_bare",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("assigned_to", Text),
    Column("belongs_to", Text),
)

PEOPLE = ("me", "mine", "other", "")
PODS = ("sales", "help")

people = st.none() | st.sampled_from(PEOPLE)
rows = st.lists(st.tuples(people, people, st.none() | st.sampled_from(PODS)), max_size=8)
accesses = st.builds(
    Access,
    mode=st.sampled_from(MODES),
    user_id=st.sampled_from(("me", "")),
    mine=st.frozensets(st.sampled_from(("me", "mine"))),
    pods=st.frozensets(st.sampled_from(PODS)),
    takes_unassigned=st.booleans(),
)

QUESTIONS: tuple[tuple[Callable[[Access, Any], bool], Callable[[Access, Any], Any]], ...] = (
    (Access.sees, predicates.reads),
    (Access.sees_whole, predicates.whole),
    (Access.may_write, predicates.writes),
)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = open_database(database_url)

    def create(connection: Any) -> None:
        things.create(connection)
        bare.create(connection)

    await db.migrate(create)
    yield db
    await db.close()


@given(st.lists(st.tuples(rows, accesses), min_size=10, max_size=40))
@settings(max_examples=8, suppress_health_check=[*HealthCheck])
async def test_python_and_sql_answer_every_question_alike(
    db: Database, worlds: list[tuple[list[tuple[str | None, ...]], Access]]
) -> None:
    for table in (things, bare):
        for generated, access in worlds:
            await _agree(db, table, generated, access)


async def _agree(db: Database, table: Table, generated: list[tuple[str | None, ...]], access: Access) -> None:
    names = ("assigned_to", "created_by", "belongs_to")
    made = [
        {"id": n, **{name: it for name, it in zip(names, row, strict=True) if name in table.c}}
        for n, row in enumerate(generated)
    ]

    def unit(tx: Tx) -> list[set[int]]:
        tx.execute(tx.delete(table))
        if made:
            tx.execute(tx.insert(table), made)
        return [
            {row.id for row in tx.all(tx.select(table, table.c.id).where(condition(access, table)))}
            for _, condition in QUESTIONS
        ]

    in_sql = await db.team("t").write(unit)

    for (question, _), found in zip(QUESTIONS, in_sql, strict=True):
        wanted = {row["id"] for row in made if question(access, SimpleNamespace(**row))}
        assert found == wanted, f"{question.__name__} of {access} over {made}"


def test_where_all_is_seen_the_condition_is_not_in_the_statement() -> None:
    everything = Access("all", "me")

    for condition in (predicates.reads, predicates.whole, predicates.writes):
        query = every_team.select(things.c.id).where(things.c.team_id == "t", condition(everything, things))
        assert "true" not in str(query).lower()
        assert str(query).count("AND") == 0


@pytest.mark.parametrize(
    ("mode", "sees", "whole", "writes"),
    [
        ("all", "abcdefg", "abcdefg", "abcdefg"),
        ("match-pod", "be", "be", "be"),
        ("own-and-reportees", "acdf", "acdf", "acdf"),
        ("assigned-to", "a", "a", "a"),
        ("view-only", "abcdefg", "abcdefg", ""),
        ("partial", "abcdefg", "acdf", "acdf"),
        ("none", "", "", ""),
    ],
)
def test_a_mode_of_access_means(mode: str, sees: str, whole: str, writes: str) -> None:
    here = {
        "a": row("me", "other"),
        "b": row("other", "me", "sales"),
        "c": row("mine", None, "help"),
        "d": row(None, "mine"),
        "e": row(None, "other", "sales"),
        "f": row(None, "me"),
        "g": row(None, None),
    }
    access = Access(mode, "me", frozenset({"me", "mine"}), frozenset({"sales"}))

    assert "".join(name for name, it in here.items() if access.sees(it)) == sees
    assert "".join(name for name, it in here.items() if access.sees_whole(it)) == whole
    assert "".join(name for name, it in here.items() if access.may_write(it)) == writes
    shared = replace(access, takes_unassigned=True)
    if mode == "own-and-reportees":
        assert "".join(name for name, it in here.items() if shared.sees(it)) == "acdefg"


def row(assigned_to: str | None, created_by: str | None, belongs_to: str | None = None) -> Any:
    return SimpleNamespace(assigned_to=assigned_to, created_by=created_by, belongs_to=belongs_to)


AGENT = Who("t", "u", "r", "USER")


def test_the_rule_of_the_part_and_of_the_narrowest_scope_decides() -> None:
    scopes = {"all": None, "team": None, "roleType": "USER", "role": "r", "user": "u"}
    whole = [rule(scope, scope_id, mode=f"w-{scope}") for scope, scope_id in scopes.items()]
    part = [rule(scope, scope_id, sub="chat", mode=f"p-{scope}") for scope, scope_id in scopes.items()]
    others = [rule("roleType", "ADMIN"), rule("role", "r2"), rule("user", "u2"), rule("user", "")]

    def decides(there: list[Rule], sub: str | None = None, who: Who = AGENT) -> str | None:
        found = deciding(there, who, resource_id="lead", sub_resource=sub)
        return found.access_mode if found else None

    assert decides(others) is None
    for n, scope in enumerate(scopes):
        assert decides(others + whole[: n + 1][::-1]) == f"w-{scope}"
        assert decides(part[: n + 1] + whole, "chat") == f"p-{scope}"
    assert decides(part) is None
    assert decides(part, "task") is None
    assert decides(whole + part, "task") == "w-user"
    assert decides([rule("user", ""), rule("role", "")], who=Who("t", "", "", "ADMIN")) is None
    assert deciding(whole, AGENT, resource_id="0-lead") is not None
    assert deciding(whole, AGENT, resource_id="ticket") is None


def test_of_two_rules_alike_the_later_word_counts() -> None:
    """One by id and one by short id may stand beside each other."""
    older, later = replace(rule("team", None), id="b"), replace(rule("team", None), id="a", updated_at=2)

    assert deciding([later, older], AGENT, resource_id="lead") is later


def rule(scope: str, scope_id: str | None, *, sub: str | None = None, mode: str = "none") -> Rule:
    return Rule("id", "procedure", "0-lead", "lead", sub, scope, scope_id, mode, 1)


@dataclass
class Staff:
    """A boss, who leads a lead, who leads two; all of Ada's."""

    boss: str
    lead: str
    agent: str
    other: str


async def staff(small: Small) -> Staff:
    made = []
    for name in ("boss", "lead", "agent", "other"):
        email = f"{name}@ada.example"
        given = {"email": email, "name": name, "role": "Agent", "password": "correct horse"}
        made.append(await accounts.create_user(small.res, small.ada.id, **given))
    boss, lead, agent, other = made
    for who, above in ((lead, boss), (agent, lead)):
        await small.execute(every_team.update(users).where(users.c.id == who).values(reports_to=above))
    return Staff(boss, lead, agent, other)


async def access_of(small: Small, who: Who, thing: str = "lead", sub: str | None = None) -> Access:
    found = await small.res.db.team(who.team_id).read(
        queries.access_of, who, resource="procedure", resource_id=thing, sub_resource=sub
    )
    assert isinstance(found, Access)
    return found


async def test_without_rules_managers_see_all_and_agents_their_own_and_what_is_below_them(
    small: Small,
) -> None:
    people = await staff(small)

    def who(user: str, role_type: str) -> Who:
        return Who(small.ada.id, user, "", role_type)

    for role_type in ("ADMIN", "MANAGER"):
        access = await access_of(small, who(people.agent, role_type))
        assert (access.mode, access.is_default) == ("all", True)
    boss = await access_of(small, who(people.boss, "USER"))
    assert boss.mode == "own-and-reportees"
    assert boss.mine == {people.boss, people.lead, people.agent}
    assert (await access_of(small, who(people.agent, "USER"))).mine == {people.agent}
    assert (await access_of(small, Who(small.ada.id, "", "", "USER"))).mine == frozenset()


async def test_a_circle_made_by_hand_ends(small: Small) -> None:
    people = await staff(small)
    loop = every_team.update(users).where(users.c.id == people.boss).values(reports_to=people.agent)
    await small.execute(loop)

    access = await access_of(small, Who(small.ada.id, people.lead, "", "USER"))

    assert access.mine == {people.boss, people.lead, people.agent}


async def test_a_rule_is_set_once_changed_found_by_both_ids_and_removed(small: Small) -> None:
    people = await staff(small)
    agent = Who(small.ada.id, people.agent, "", "USER")
    about = {"resource": "procedure", "resource_id": "0-lead", "resource_short_id": "lead"}

    async def put(mode: str, **more: Any) -> str:
        return await rules.set_access_rule(small.res, small.ada.id, access_mode=mode, **about, **more)

    first = await put("none")
    assert await put("view-only") == first
    finer = await put("assigned-to", sub_resource="chat", scope="user", scope_id="agent@ada.example")

    assert [(it.id, it.access_mode) for it in await rules.list_access_rules(small.res, small.ada.id)] == [
        (first, "view-only"),
        (finer, "assigned-to"),
    ]
    assert len(await small.rows(access_rules)) == 2
    for thing in ("lead", "0-lead"):
        access = await access_of(small, agent, thing)
        assert (access.mode, access.is_default) == ("view-only", False)
        assert (await access_of(small, agent, thing, "chat")).mode == "assigned-to"
    assert (await access_of(small, replace(agent, user_id=people.other), sub="chat")).mode == "view-only"
    assert (await access_of(small, agent, "ticket")).is_default
    assert (await access_of(small, replace(agent, team_id=small.babbage.id))).is_default
    assert await rules.list_access_rules(small.res, small.babbage.id) == []

    with pytest.raises(NotFound, match="No access rule"):
        await rules.remove_access_rule(small.res, small.babbage.id, finer)
    await rules.remove_access_rule(small.res, small.ada.id, finer)
    with pytest.raises(NotFound, match="samvad access list"):
        await rules.remove_access_rule(small.res, small.ada.id, finer)

    assert (await access_of(small, agent, sub="chat")).mode == "view-only"
    told = await small.rows(events, events.c.name.startswith("access_rule."))
    assert [(it.name, it.data["accessMode"]) for it in told] == [
        ("access_rule.set", "none"),
        ("access_rule.set", "view-only"),
        ("access_rule.set", "assigned-to"),
        ("access_rule.removed", "assigned-to"),
    ]


async def test_a_rule_that_means_nothing_is_refused_with_what_there_is(small: Small) -> None:
    await staff(small)
    good = {"resource": "procedure", "resource_id": "lead", "access_mode": "none"}

    for more, said in (
        ({"resource": "chat"}, "procedure, statetask, entity"),
        ({"access_mode": "some"}, "match-pod"),
        ({"scope": "pod"}, "roleType"),
        ({"resource_id": " "}, "by its id"),
        ({"scope": "team", "scope_id": small.babbage.id}, "takes no name"),
        ({"scope": "user"}, "needs a name"),
        ({"scope": "roleType", "scope_id": "Agent"}, "ADMIN, MANAGER, USER"),
    ):
        with pytest.raises(BadRequest, match=said):
            await rules.set_access_rule(small.res, small.ada.id, **(good | more))
    for scope, name in (("user", "boss@ada.example"), ("role", "Agent")):
        await rules.set_access_rule(small.res, small.ada.id, **good, scope=scope, scope_id=name)
        with pytest.raises(NotFound, match=f"No {scope} 'nobody'"):
            await rules.set_access_rule(small.res, small.ada.id, **good, scope=scope, scope_id="nobody")
    with pytest.raises(NotFound, match="No user"):
        await rules.set_access_rule(
            small.res, small.babbage.id, **good, scope="user", scope_id="boss@ada.example"
        )


async def test_accesses_to_many_things_are_asked_for_at_once(small: Small) -> None:
    people = await staff(small)
    agent = Who(small.ada.id, people.agent, "", "USER")
    for n in range(3):
        mode = ("match-pod", "none", "all")[n]
        await rules.set_access_rule(
            small.res, small.ada.id, resource="entity", resource_id=f"e{n}", access_mode=mode
        )
    await small.execute(every_team.insert(pods).values(id="p", team_id=small.ada.id, name="P", **TIMES))
    await small.execute(
        every_team.insert(pod_members).values(
            pod_id="p", user_id=people.agent, team_id=small.ada.id, created_at=1
        )
    )

    found = await small.res.db.team(small.ada.id).read(
        queries.accesses_of, agent, "entity", ["e0", "e1", "e2", "e3"]
    )

    assert {it: access.mode for it, access in found.items()} == {
        "e0": "match-pod",
        "e1": "none",
        "e2": "all",
        "e3": "own-and-reportees",
    }
    assert found["e0"].pods == {"p"}
    assert found["e3"].mine == {people.agent}


TIMES = {"created_at": 1, "updated_at": 1}
