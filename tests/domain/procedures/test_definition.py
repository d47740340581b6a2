"""A definition holds together or every problem is told; a change is told, and where it may lose something."""

import msgspec
import pytest

from samvad.domain.procedures.definition import (
    changes_between,
    entity_changes,
    entity_problems,
    entity_with_ids,
    problems_of,
    with_ids,
)
from samvad.domain.procedures.examples import EXAMPLES, example
from samvad.domain.procedures.files import read_document
from samvad.domain.procedures.model import Definition, Entity

TICKET = """\
procedures:
  - shortId: ticket
    primaryKey: ticket_id
    states: [{ shortId: NEW }, { shortId: DONE }]
    stateGraph: { NEW: [DONE] }
    attributes:
      - { shortId: ticket_id, type: stringId }
      - { shortId: subject, type: string }
      - { shortId: priority, type: stringEnum, options: [low, high] }
      - { shortId: replies, type: integer, derived: { count: tasks } }
    tasks:
      - shortId: reply
        attributes: [{ shortId: minutes, type: integer }]
"""


def ticket() -> Definition:
    return read_document(TICKET).procedures[0]


def written(old: str, new: str) -> Definition:
    assert old in TICKET
    return read_document(TICKET.replace(old, new)).procedures[0]


def kept(it: Definition, known: Definition | None = None) -> Definition:
    return with_ids(it, known, id="1")


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_wrong_with_the_examples(name: str) -> None:
    document = read_document(example(name))
    entities = {it.short_id: it for it in document.entities}

    found = [it for one in document.procedures for it in problems_of(kept(one), entities=entities)]
    found += [it for one in document.entities for it in entity_problems(one)]

    assert found == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("primaryKey: ticket_id", "primaryKey: ticket_ix", "primaryKey 'ticket_ix' is not one of its attributes; did"),
        ("primaryKey: ticket_id", "primaryKey: priority", "primaryKey 'priority' must be of a type among"),
        ("primaryKey: ticket_id", "primaryKey: replies", "primaryKey 'replies' is derived"),
        ("primaryKey: ticket_id", "generate: {}", "there is no primaryKey"),
        ("primaryKey: ticket_id", "primaryPhone: nobody", "primaryPhone 'nobody' is not one of"),
        ("primaryKey: ticket_id", "mergeOnPhone: true", "mergeOnPhone needs a primaryPhone"),
        ("primaryKey: ticket_id", "entity: shop", "entity 'shop' is not known"),
        ("primaryKey: ticket_id", "startState: NWE", "startState 'NWE' is not one of its states; did you mean NEW?"),
        ("NEW: [DONE]", "NEW: [DNE]", "stateGraph: 'DNE' is not one of its states; did you mean DONE?"),
        ("{ shortId: DONE }", "{ shortId: new }", "state new: there are two of that short id"),
        ("{ shortId: DONE }", "{ shortId: DONE, color: red }", "a color is like #3B82F6; got 'red'"),
        ("[{ shortId: NEW }, { shortId: DONE }]", "[]", "needs at least one state"),
        ("shortId: subject", "shortId: status", "status is a word of the API itself"),
        ("shortId: subject", "shortId: a-b", "attribute a-b: a short id is letters, digits and _"),
        ("shortId: subject", "shortId: Priority", "there are two of that short id"),
        ("subject, type: string", "subject, type: strin", "which there is not; did you mean string?"),
        ("[low, high]", "[low, low]", "the option \"low\" more than once"),
        (", options: [low, high]", "", "needs options"),
        ("{ count: tasks }", "{ count: tasks, sum: minutes }", "exactly one of formula, count and sum"),
        ("{ count: tasks }", "{ count: processes }", "count looks at 'processes'; it can look at tasks."),
        ("{ count: tasks }", "{ sum: minuets, of: tasks }", "has an attribute 'minuets' to sum; did you mean minutes?"),
        ("{ count: tasks }", '{ count: tasks, where: { minutes: { ">": 5 } } }', "where: minutes is compared with an"),
        ("derived: { count: tasks }", "required: true, derived: { count: tasks }", "nobody can be required to give"),
        ("- shortId: reply", "- shortId: reply\n        states: [NEWS]", "task reply: state 'NEWS' is not one of"),
        ("- shortId: reply", "- shortId: reply\n        form: none", "task reply: form 'none' is not known"),
        ("minutes, type: integer", "minutes, type: integer, derived: { count: tasks }", "it can look at nothing here."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_procedure_is_told_once_with_its_place(old: str, new: str, words: str) -> None:
    found = problems_of(kept(written(old, new)), entities={})

    about_it = [it for it in found if words in it]
    assert len(about_it) == 1, found
    assert about_it[0].startswith("procedure ticket: ")
    assert len(set(found)) == len(found)


def test_all_problems_of_a_procedure_are_told_together() -> None:
    wrong = read_document(
        TICKET.replace("primaryKey: ticket_id", "primaryKey: x\n    generate: { digits: 99 }\n    entity: y")
        .replace("type: stringId", "type: strin")
        .replace("NEW: [DONE]", "A: [B]")
    ).procedures[0]

    found = problems_of(kept(wrong), entities={})

    for words in ("primaryKey 'x'", "digits must be from 1 to 18", "entity 'y'", '"strin"', "'A'", "'B'"):
        assert sum(words in it for it in found) == 1, (words, found)


def test_a_key_of_an_unknown_type_is_a_problem_and_not_a_crash() -> None:
    wrong = written("primaryKey: ticket_id", "primaryKey: ticket_id\n    generate: { prefix: T- }")
    wrong = msgspec.structs.replace(
        wrong, attributes=(msgspec.structs.replace(wrong.attributes[0], type="id"), *wrong.attributes[1:])
    )

    assert any('the type "id"' in it for it in problems_of(kept(wrong), entities={}))


def test_ids_stay_with_their_short_ids() -> None:
    before = kept(ticket())
    after = kept(written("subject", "topic"), before)

    ids = {it.short_id: it.id for it in after.attributes}
    assert ids["priority"] == before.attributes[2].id
    assert ids["topic"] != before.attributes[1].id
    assert [it.id for it in after.states] == [it.id for it in before.states]
    assert after.tasks[0].attributes[0].id == before.tasks[0].attributes[0].id


def test_what_is_left_out_is_filled_in() -> None:
    it = kept(ticket())

    assert (it.name, it.start_state, it.completed_state) == ("Ticket", "NEW", "DONE")
    assert it.attributes[0].name == "Ticket id"
    assert it.tasks[0].task_type == "reply"


def test_the_same_once_more_is_no_change() -> None:
    before = kept(ticket())

    assert changes_between(before, kept(ticket(), before)) == []


@pytest.mark.parametrize(
    ("old", "new", "mark", "path", "risk"),
    [
        ("shortId: ticket\n", "shortId: ticket\n    name: Case\n", "~", "procedure ticket", None),
        ("subject, type: string", "subject, type: integer", "~", "attribute subject", "process"),
        ("subject, type: string", "subject, type: string, name: S", "~", "attribute subject", None),
        ("subject, type: string", "subject, type: string, filterable: true", "~", "attribute subject", "process"),
        ("[low, high]", "[low]", "~", "attribute priority", "process"),
        ("      - { shortId: subject, type: string }\n", "", "-", "attribute subject", "process"),
        ("      - { shortId: replies, type: integer, derived: { count: tasks } }\n", "", "-", "replies", None),
        ("{ shortId: NEW }", "{ shortId: NEW }, { shortId: OPEN }", "+", "state OPEN", None),
        ("{ shortId: NEW }, { shortId: DONE }", "{ shortId: DONE }, { shortId: NEW }", "~", "states", None),
        ("NEW: [DONE]", "DONE: [NEW]", "~", "procedure ticket", None),
        ("minutes, type: integer", "minutes, type: string", "~", "task reply: attribute minutes", "task"),
        ("shortId: reply", "shortId: answer", "-", "task reply", "tasks"),
    ],
)  # fmt: skip
def test_a_change_is_told_and_where_rows_may_lose_by_it(
    old: str, new: str, mark: str, path: str, risk: str | None
) -> None:
    before = kept(ticket())
    after = kept(
        msgspec.structs.replace(written(old, new), start_state="NEW", completed_state="DONE"), before
    )

    (change,) = [it for it in changes_between(before, after) if it.path.endswith(path) and it.mark == mark]

    assert (change.risk.kind if change.risk else None) == risk


def test_a_state_that_goes_is_a_risk() -> None:
    before = kept(ticket())
    after = kept(written("{ shortId: DONE }", "{ shortId: SOLVED }"), before)

    risks = [(it.mark, it.path, it.risk) for it in changes_between(before, after) if it.risk]

    assert [(mark, path) for mark, path, _ in risks] == [("-", "procedure ticket: state DONE")]
    assert risks[0][2].part == before.states[1].id


def test_an_entity_is_told_of_the_same_way() -> None:
    def shop(*attributes: str) -> Entity:
        return read_document(
            f"entities: [{{ shortId: shop, attributes: [{', '.join(attributes)}] }}]"
        ).entities[0]

    code, city = "{ shortId: code, type: stringId }", "{ shortId: city, type: string }"
    before = entity_with_ids(shop(code, city), None, id="1")
    after = entity_with_ids(shop(city), before, id="1")

    assert [it.path for it in entity_changes(None, before)] == ["entity shop"]
    assert entity_changes(before, before) == []
    (change,) = entity_changes(before, after)
    assert (change.mark, change.path, change.risk and change.risk.kind) == (
        "-",
        "entity shop: attribute code",
        "record",
    )
    broken = msgspec.structs.replace(before, primary_key="cod", primary_phone="city")
    assert len(entity_problems(broken)) == 1, "a phone may be kept as text"
