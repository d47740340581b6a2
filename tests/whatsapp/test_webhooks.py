import copy
import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samvad.whatsapp.webhooks import (
    Echo,
    Other,
    Problem,
    Received,
    Said,
    StatusNews,
    Unreadable,
    message_ids,
    parse,
)
from tests.whatsapp.shared import FIXTURES, recorded_webhooks

WABA = "300000000000001"
NUMBER = "200000000000002"
PERSON = "919999900001"
BSUID = "IN.55501234567890"
AT = "1790000000"
AT_MS = 1_790_000_000_000


def body(*changes: dict, **entry: Any) -> bytes:
    return json.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": WABA, **entry, "changes": list(changes)}]}
    ).encode()


def change(field: str = "messages", **value: Any) -> dict:
    metadata = {"display_phone_number": "911234500000", "phone_number_id": NUMBER}
    return {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}


def contact(**more: Any) -> dict:
    return {"profile": {"name": "Asha", "username": "asha.k"}, "wa_id": PERSON, "user_id": BSUID, **more}


def message(kind: str = "text", content: Any = None, **more: Any) -> dict:
    return {
        "from": PERSON,
        "id": "wamid.IN1",
        "timestamp": AT,
        "type": kind,
        kind: {"body": "Namaste"} if content is None else content,
        **more,
    }


def status(**more: Any) -> dict:
    return {"id": "wamid.OUT1", "status": "delivered", "timestamp": AT, "recipient_id": PERSON, **more}


def received(one: dict, **value: Any) -> Received:
    (said,) = parse(body(change(messages=[one], **{"contacts": [contact()], **value})))
    assert isinstance(said, Received)
    return said


def news(one: dict, **value: Any) -> StatusNews:
    (said,) = parse(body(change(statuses=[one], **value)))
    assert isinstance(said, StatusNews)
    return said


def ids_said(said: list[Said]) -> Counter[str]:
    """Every message id that can still be found in what was understood."""
    found: Counter[str] = Counter()
    for one in said:
        match one:
            case Received() | Echo() | StatusNews():
                found[one.wamid] += 1
            case Other():
                found.update(message_ids(msgspec.json.encode(one.value)))
            case Problem():
                is_one_update = ".value." in one.where and one.where.endswith("]")
                raw = {"messages": [one.raw]} if is_one_update else one.raw
                found.update(message_ids(msgspec.json.encode(raw)))
    return found


def test_a_text_message_says_who_wrote_what_when_and_to_which_number():
    one = message(context={"id": "wamid.OUT0"}, referral={"source_id": "ad1"}, group_id="g1")

    said = received(one)

    assert said == Received(
        waba_id=WABA,
        phone_number_id=NUMBER,
        wamid="wamid.IN1",
        phone=PERSON,
        bsuid=BSUID,
        parent_bsuid=None,
        name="Asha",
        username="asha.k",
        type="text",
        at=AT_MS,
        content={"body": "Namaste"},
        text="Namaste",
        context={"id": "wamid.OUT0"},
        referral={"source_id": "ad1"},
        group_id="g1",
        errors=[],
        raw=one,
    )


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        ("image", {"id": "1", "caption": "Look"}, "Look"),
        ("image", {"id": "1"}, None),
        ("sticker", {"id": "1", "animated": True}, None),
        ("document", {"id": "1", "filename": "a.pdf", "caption": ""}, None),
        ("button", {"text": "Stop", "payload": "STOP"}, "Stop"),
        ("interactive", {"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}}, "Yes"),
        ("interactive", {"type": "list_reply", "list_reply": {"id": "r", "title": "Red"}}, "Red"),
        ("interactive", {"type": "nfm_reply", "nfm_reply": {"body": "Sent", "response_json": "{}"}}, "Sent"),
        ("interactive", {"type": "call_permission_reply", "call_permission_reply": {}}, None),
        ("reaction", {"message_id": "wamid.OUT0", "emoji": "👍"}, "👍"),
        ("reaction", {"message_id": "wamid.OUT0"}, None),
        ("location", {"latitude": 1.5, "longitude": 2, "name": "Shop"}, "Shop"),
        ("location", {"latitude": 1.5, "longitude": 2, "address": "1 Road"}, "1 Road"),
        ("order", {"catalog_id": "c", "text": "Please wrap", "product_items": []}, "Please wrap"),
        (
            "system",
            {"body": "Asha changed her number", "type": "user_changed_number"},
            "Asha changed her number",
        ),
        ("edit", {"original_message_id": "x", "message": {"type": "text", "text": {"body": "New"}}}, "New"),
        ("revoke", {"original_message_id": "x"}, None),
        ("hologram", {"caption": "From the future"}, "From the future"),
        ("text", {"body": 7}, None),
    ],
)
def test_the_text_of_a_message_is_what_a_person_would_read(kind, content, text):
    said = received(message(kind, content))

    assert (said.text, said.content, said.type) == (text, content, kind)


def test_shared_contacts_are_kept_and_their_names_are_the_text():
    cards = [
        {"name": {"formatted_name": "Ravi Rao"}},
        {"name": {"first_name": "Mina"}},
        {"phones": []},
        "junk",
    ]

    said = received(message("contacts", cards))

    assert said.content == {"contacts": cards}
    assert said.text == "Ravi Rao, Mina"


def test_a_message_without_a_type_takes_it_from_its_content():
    untyped = message("image", {"id": "1"})
    del untyped["type"]

    assert received(untyped).type == "image"
    assert received({"id": "wamid.X"}).type == "unknown"


def test_a_person_who_hides_their_phone_is_known_by_their_bsuid():
    hidden = message(from_user_id=BSUID, from_parent_user_id="IN.ENT.1")
    del hidden["from"]

    said = received(hidden, contacts=[{"profile": {"name": "Asha"}, "user_id": BSUID}])

    assert (said.phone, said.bsuid, said.parent_bsuid, said.name) == (None, BSUID, "IN.ENT.1", "Asha")


def test_each_message_finds_its_own_sender_among_several_contacts():
    ravi = {"profile": {"name": "Ravi"}, "wa_id": "919999900002"}
    messages = [message(), message(**{"from": "919999900002", "id": "wamid.IN2"})]

    said = parse(body(change(messages=messages, contacts=[ravi, contact()])))

    assert [(one.name, one.bsuid) for one in said if isinstance(one, Received)] == [
        ("Asha", BSUID),
        ("Ravi", None),
    ]


def test_a_contact_who_is_someone_else_gives_a_message_neither_name_nor_identity():
    said = received(message(**{"from": "919999900009"}))

    assert (said.phone, said.bsuid, said.name) == ("919999900009", None, None)


def test_a_sender_named_only_by_the_contact_is_taken_when_nobody_else_is_meant():
    anonymous = message()
    del anonymous["from"]

    assert received(anonymous).phone == PERSON
    assert received(anonymous, contacts=[contact(), contact(wa_id="919999900002")]).phone is None


@pytest.mark.parametrize("contacts", [[], [{}], [{"wa_id": PERSON}], ["junk"], {"a": 1}, "junk", None])
def test_contacts_may_be_bare_broken_or_missing(contacts):
    said = received(message(), contacts=contacts)

    assert (said.phone, said.name, said.text) == (PERSON, None, "Namaste")


@pytest.mark.parametrize(
    ("given_phone", "phone"),
    [
        ("+91 99999-00001", PERSON),
        (919999900001, PERSON),
        ("Y2FwaV9ncm91cDo", None),
        ("", None),
        ("<PHONE>", None),
    ],
)
def test_a_phone_is_digits_or_nothing(given_phone, phone):
    assert received(message(**{"from": given_phone}), contacts=[]).phone == phone


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        (AT, AT_MS), (int(AT), AT_MS), (AT_MS, AT_MS), (float(AT), AT_MS), ("soon", None), ("", None),
        (None, None), (0, None), (-5, None), ("9" * 5000, None), (10**30, None), (True, None), ({}, None),
    ],
)  # fmt: skip
def test_times_are_read_from_text_and_numbers_and_nonsense_is_no_time(timestamp, at):
    assert received(message(timestamp=timestamp)).at == at


def test_the_time_of_the_entry_stands_in_for_a_missing_one():
    untimed = message()
    del untimed["timestamp"]

    (said,) = parse(body(change(messages=[untimed]), time=int(AT)))

    assert isinstance(said, Received)
    assert said.at == AT_MS


def test_a_status_says_what_became_of_which_message():
    one = status(
        biz_opaque_callback_data="our-id",
        pricing={"billable": True},
        conversation={"id": "c"},
        errors=[{"code": 131026, "title": "Message undeliverable"}, {"code": 1}],
    )

    said = news(one, contacts=[{"wa_id": PERSON, "user_id": BSUID}])

    assert said == StatusNews(
        waba_id=WABA,
        phone_number_id=NUMBER,
        wamid="wamid.OUT1",
        status="delivered",
        at=AT_MS,
        phone=PERSON,
        bsuid=BSUID,
        opaque="our-id",
        error={"code": 131026, "title": "Message undeliverable"},
        pricing={"billable": True},
        conversation={"id": "c"},
        group_id=None,
        raw=one,
    )


def test_a_bare_status_needs_only_its_id_and_its_word():
    said = news({"id": "wamid.OUT1", "status": "evaporated"})

    assert (said.status, said.phone, said.at, said.error) == ("evaporated", None, None, None)


def test_a_status_in_a_group_is_about_its_participant():
    one = status(
        recipient_id="Y2Fw", recipient_type="group", recipient_participant_id=PERSON,
        recipient_participant_user_id=BSUID,
    )  # fmt: skip

    said = news(one)

    assert (said.group_id, said.phone, said.bsuid) == ("Y2Fw", PERSON, BSUID)


def test_messages_and_statuses_in_one_value_are_both_read():
    said = parse(body(change(messages=[message()], statuses=[status(), status(status="read")])))

    assert [type(one) for one in said] == [Received, StatusNews, StatusNews]


def test_what_the_business_sent_from_its_phone_is_an_echo_to_the_person():
    echo = {"from": "911234500000", "to": PERSON, "id": "wamid.E1", "timestamp": AT, "type": "text"}

    (said,) = parse(
        body(
            change(
                "smb_message_echoes",
                contacts=[contact()],
                message_echoes=[{**echo, "text": {"body": "On my way"}}],
            )
        )
    )

    assert isinstance(said, Echo)
    assert (said.to, said.bsuid, said.name, said.text) == (PERSON, BSUID, "Asha", "On my way")


def test_echoes_of_edits_and_revokes_name_the_message_they_change():
    edit = {"original_message_id": "wamid.E1", "message": {"type": "text", "text": {"body": "Later"}}}
    echoes = [
        {"to": PERSON, "id": "wamid.E2", "type": "edit", "edit": edit},
        {
            "to_user_id": BSUID,
            "id": "wamid.E3",
            "type": "revoke",
            "revoke": {"original_message_id": "wamid.E1"},
        },
    ]

    said = parse(body(change("message_echoes", message_echoes=echoes)))

    assert [(one.type, one.content["original_message_id"]) for one in said if isinstance(one, Echo)] == [
        ("edit", "wamid.E1"),
        ("revoke", "wamid.E1"),
    ]


def test_a_message_that_meta_could_not_pass_on_carries_the_errors_of_its_value():
    bare = {"id": "wamid.IN1", "from": PERSON, "timestamp": AT, "type": "interactive"}
    errors = [{"code": 131000, "title": "Something went wrong"}]

    said = received(bare, errors=errors)

    assert (said.errors, said.content, said.text) == (errors, {}, None)


def test_errors_of_the_account_are_kept_beside_several_messages_and_alone():
    errors = [{"code": 131042, "title": "Payment issue"}]

    alone = parse(body(change(errors=errors)))
    beside = parse(body(change(errors=errors, messages=[message(), message(id="wamid.IN2")])))
    own = parse(body(change(errors=errors, messages=[message(errors=[{"code": 131051}])])))

    for said in (alone, beside, own):
        assert isinstance(said[-1], Other)
        assert said[-1].value["errors"] == errors
    assert [len(alone), len(beside), len(own)] == [1, 3, 2]


@pytest.mark.parametrize(
    "field",
    [
        "message_template_status_update",
        "account_update",
        "calls",
        "history",
        "user_preferences",
        "a_new_one",
        "",
    ],
)
def test_every_other_field_is_kept_whole(field):
    asked = change(field, anything={"deep": [1, 2]})

    (said,) = parse(body(asked, time=int(AT)))

    assert said == Other(WABA, field or "unknown", NUMBER, AT_MS, asked["value"])


def test_members_nobody_knows_are_kept_beside_the_messages():
    actions = [{"action_type": "marketing_messages_link_click"}]

    said = parse(body(change(messages=[message()], user_actions=actions)))

    assert isinstance(said[0], Received)
    assert isinstance(said[1], Other)
    assert said[1].value["user_actions"] == actions
    assert said[1].phone_number_id == NUMBER


@pytest.mark.parametrize("broken", [None, 7, "text", [], {}, {"id": None}, {"id": ""}, {"id": {}}])
def test_one_broken_update_is_a_problem_and_its_neighbours_are_read(broken):
    said = parse(
        body(
            change(messages=[message(), broken, message(id="wamid.IN2")]),
            change(statuses=[status(), broken, status(id="wamid.OUT2")]),
        )
    )

    assert [type(one) for one in said] == [Received, Problem, Received, StatusNews, Problem, StatusNews]
    assert [one.where for one in said if isinstance(one, Problem)] == [
        "entry[0].changes[0].value.messages[1]",
        "entry[0].changes[1].value.statuses[1]",
    ]
    assert all(one.raw == broken for one in said if isinstance(one, Problem))


def test_broken_entries_changes_and_values_do_not_lose_the_good_ones():
    good = {"id": WABA, "changes": [None, {"field": "messages"}, change(messages=[message()])]}

    said = parse(json.dumps({"entry": [7, {}, {"id": "1", "changes": {}}, good]}).encode())

    assert [type(one) for one in said] == [Problem] * 5 + [Received]


@pytest.mark.parametrize(
    "unreadable",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"entry":{}}',
        b'{"entry":null}',
        b"[" * 100_000,
        b'{"entry":',
    ],
)
def test_a_body_that_is_no_webhook_is_refused_with_a_sentence(unreadable):
    with pytest.raises(Unreadable) as refused:
        parse(unreadable)

    assert str(refused.value).endswith(".")


def test_an_empty_webhook_says_nothing():
    assert parse(b'{"object":"whatsapp_business_account","entry":[]}') == []


def test_characters_that_a_database_cannot_keep_become_the_replacement_character():
    said = received(message(content={"body": "a\x00b", "k\x00": ["\x00", {"x": "\x00"}]}))

    assert said.text == "a\ufffdb"
    assert said.content == {"body": "a\ufffdb", "k\ufffd": ["\ufffd", {"x": "\ufffd"}]}
    assert "\x00" not in str(said)


def test_a_backslash_written_before_u0000_is_left_alone():
    assert received(message(content={"body": "\\u0000"})).text == "\\u0000"


@pytest.mark.parametrize(
    "damage", [rb'"cut \ud83d"', rb'"cut \udc00 \ud83d\ude00"', b'"bad \xc3\x28"', b"NaN", b"1e999"]
)
def test_damage_that_a_strict_reader_refuses_costs_no_update(damage):
    whole = body(change(messages=[message(content={"body": "@"}), message(id="wamid.IN2")]))

    said = parse(whole.replace(b'"@"', damage))

    assert [one.wamid for one in said if isinstance(one, Received)] == ["wamid.IN1", "wamid.IN2"]
    assert b"wamid.IN1" in msgspec.json.encode(said)  # it can be written as UTF-8 again


def test_a_thousand_updates_of_several_accounts_come_out_in_their_order():
    entries = [
        {"id": str(waba), "changes": [change(statuses=[status(id=f"wamid.{waba}.{n}") for n in range(100)])]}
        for waba in range(10)
    ]

    said = parse(json.dumps({"entry": entries}).encode())

    assert [one.wamid for one in said if isinstance(one, StatusNews)] == [
        f"wamid.{waba}.{n}" for waba in range(10) for n in range(100)
    ]
    assert isinstance(said[-1], StatusNews)
    assert said[-1].waba_id == "9"


def test_values_are_frozen():
    with pytest.raises(AttributeError):
        received(message()).text = "other"  # type: ignore[misc]


def test_message_ids_finds_those_of_history_too():
    threads = [{"id": PERSON, "messages": [{"id": "wamid.H1"}, {"id": "wamid.H2"}]}]

    whole = body(change("history", history=[{"threads": threads}]), change(messages=[message()]))

    assert message_ids(whole) == ["wamid.H1", "wamid.H2", "wamid.IN1"]


def full_body() -> dict:
    everything = [
        change(
            messages=[
                message(context={"id": "wamid.OUT0"}, referral={"body": "ad"}, errors=[{"code": 1}]),
                message("contacts", [{"name": {"formatted_name": "Ravi"}}], id="wamid.IN2"),
                message("interactive", {"list_reply": {"title": "Red"}}, id="wamid.IN3", from_user_id=BSUID),
                message("edit", {"message": {"type": "text", "text": {"body": "n"}}}, id="wamid.IN4"),
                message("location", {"name": "Shop", "latitude": 1}, id="wamid.IN5"),
            ],
            statuses=[
                status(pricing={"billable": True}, conversation={"id": "c"}, errors=[{"code": 1}]),
                status(id="wamid.OUT2", recipient_type="group", recipient_participant_id=PERSON),
            ],
            contacts=[contact(), contact(wa_id="919999900002", user_id="IN.2")],
            errors=[{"code": 131042}],
            user_actions=[{"timestamp": AT}],
        ),
        change("smb_message_echoes", message_echoes=[message(id="wamid.E1", to=PERSON, to_user_id=BSUID)]),
        change("history", history=[{"threads": [{"id": PERSON, "messages": [message(id="wamid.H1")]}]}]),
        change("message_template_status_update", event="APPROVED", message_template_id=1),
    ]
    return {
        "object": "x",
        "entry": [{"id": WABA, "time": int(AT), "changes": everything}, {"id": "2", "changes": []}],
    }


def members(thing: Any) -> list[tuple[Any, Any]]:
    """Every container inside `thing` with every key or index of it."""
    inner = list(thing.items()) if isinstance(thing, dict) else list(enumerate(thing))
    found = [(thing, name) for name, _ in inner]
    for _, what in inner:
        if isinstance(what, dict | list):
            found += members(what)
    return found


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["[]", "{}", '[null, 1, "x", []]', '{"id": []}']).map(json.loads),
)  # fmt: skip


@settings(max_examples=300)
@given(st.data())
def test_whatever_is_dropped_or_replaced_nothing_raises_and_no_id_is_lost(data):
    damaged = full_body()
    for _ in range(data.draw(st.integers(1, 8))):
        places = members(damaged["entry"])
        if not places:
            break
        container, name = data.draw(st.sampled_from(places))
        if isinstance(container, dict) and data.draw(st.booleans()):
            del container[name]
        else:
            container[name] = data.draw(JUNK)
    raw = json.dumps(damaged).encode()

    said = parse(raw)

    assert ids_said(said) == Counter(message_ids(raw))
    msgspec.json.encode(said)


def test_each_single_field_may_be_absent_without_losing_an_id():
    for index in range(len(members(full_body()["entry"]))):
        damaged = full_body()
        container, name = members(damaged["entry"])[index]
        del container[name]
        raw = json.dumps(damaged).encode()

        assert ids_said(parse(raw)) == Counter(message_ids(raw)), (container, name)


ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["id", "changes", "field", "value", "messages", "statuses", "metadata", "contacts", "text"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@settings(max_examples=200)
@given(st.lists(ANY_JSON, max_size=4))
def test_any_json_in_the_entry_list_is_read_without_raising(entries):
    said = parse(json.dumps({"entry": entries}).encode())

    assert "\x00" not in msgspec.json.encode(said).decode().replace("\\u0000", "\x00")


def test_the_recorded_webhooks_are_here_or_the_reason_is_said():
    if not FIXTURES.exists():
        pytest.skip(f"the recorded webhooks are not here: {FIXTURES}")

    assert len(list(recorded_webhooks())) > 80


@pytest.mark.parametrize(("name", "recorded"), [pytest.param(n, b, id=n) for n, b in recorded_webhooks()])
def test_every_recorded_webhook_is_understood_and_loses_no_id(name, recorded):
    raw = json.dumps(recorded).encode()

    said = parse(raw)

    assert said
    assert not [one for one in said if isinstance(one, Problem)]
    assert ids_said(said) == Counter(message_ids(raw))


@pytest.mark.parametrize(("name", "recorded"), [pytest.param(n, b, id=n) for n, b in recorded_webhooks()])
def test_recorded_webhooks_survive_the_loss_of_any_single_field(name, recorded):
    for index in range(len(members(recorded["entry"]))):
        damaged = copy.deepcopy(recorded)
        container, key = members(damaged["entry"])[index]
        del container[key]
        raw = json.dumps(damaged).encode()

        assert ids_said(parse(raw)) == Counter(message_ids(raw)), key
