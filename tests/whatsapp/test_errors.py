import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.whatsapp import errors
from samvad.whatsapp.errors import Kind, Refusal
from tests.whatsapp.shared import SHARED


def refused(error: dict, status: int = 400) -> Refusal:
    return errors.from_response(status, json.dumps({"error": error}).encode())


def test_a_refusal_reads_as_metas_message_with_the_details_after_it():
    refusal = refused(
        {
            "message": "(#131009) Parameter value is not valid",
            "type": "OAuthException",
            "code": 131009,
            "error_data": {"messaging_product": "whatsapp", "details": "Invalid buttons count."},
            "fbtrace_id": "Ab1",
        }
    )

    assert refusal.text == "(#131009) Parameter value is not valid: Invalid buttons count."
    assert (refusal.status, refusal.code, refusal.kind) == (400, 131009, Kind.PERMANENT)
    assert refusal.error["fbtrace_id"] == "Ab1"


def test_details_that_add_nothing_are_left_out():
    message = "(#100) The parameter to is required."

    assert refused({"message": message, "code": 100}).text == message
    assert refused({"message": message, "code": 100, "error_data": {"details": message}}).text == message
    assert (
        refused({"message": message, "code": 100, "error_data": {"details": "is required."}}).text == message
    )


def test_the_sentence_for_the_user_stands_in_for_missing_details():
    error = {
        "message": "Invalid parameter",
        "code": 100,
        "error_subcode": 2388024,
        "error_user_msg": "It exists.",
    }

    refusal = refused(error)

    assert refusal.text == "Invalid parameter: It exists."
    assert refusal.subcode == 2388024


def test_a_failure_told_by_webhook_reads_like_the_same_refusal_by_http():
    error = {
        "code": 131047,
        "title": "Re-engagement message",
        "error_data": {"details": "24 hours have passed"},
    }

    refusal = errors.from_webhook(error)

    assert refusal.text == "(#131047) Re-engagement message: 24 hours have passed"
    assert refusal.kind is Kind.WINDOW
    assert refusal.status == 0


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (4, Kind.RETRY_AFTER), (130429, Kind.RETRY_AFTER), (131056, Kind.RETRY_AFTER), (2, Kind.BACK_OFF),
        (131057, Kind.BACK_OFF), (131047, Kind.WINDOW), (132001, Kind.PERMANENT), (190, Kind.ACCOUNT),
        (200, Kind.ACCOUNT), (299, Kind.ACCOUNT), (133010, Kind.ACCOUNT), (424242, Kind.UNKNOWN),
    ],
)  # fmt: skip
def test_the_code_says_what_a_sender_can_do(code, kind):
    assert refused({"message": "no", "code": code}).kind is kind


def test_what_waiting_helps_may_be_repeated_unless_it_may_have_acted():
    by_code = {code: errors.from_error({"code": code}, status=500) for code in range(-2, 140_000)}
    may_be_repeated = {code for code, refusal in by_code.items() if refusal.may_be_repeated}

    assert {4, 80007, 130429, 131056, 131057} <= may_be_repeated
    assert all(by_code[it].kind in (Kind.RETRY_AFTER, Kind.BACK_OFF) for it in may_be_repeated)
    assert may_be_repeated & {1, 2, 131000, 131016} == set()
    assert {code for code, refusal in by_code.items() if refusal.ambiguous} == {1, 2, 131000, 131016}


def test_a_failure_told_by_webhook_is_never_ambiguous():
    assert not errors.from_webhook({"code": 131000, "title": "Something went wrong"}).ambiguous


@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"null", b"[]", b'{"error":"no"}', b"\xff", b"[" * 9999]
)
def test_an_answer_without_an_error_object_is_still_a_refusal_with_a_sentence(body):
    refusal = errors.from_response(502, body)

    assert refusal.text.startswith("The Cloud API answered 502 without saying why")
    assert "<" not in refusal.text
    assert refusal.code == errors.NO_CODE
    assert refusal.kind is Kind.UNKNOWN


def test_a_plain_text_answer_is_quoted_and_429_asks_to_wait():
    refusal = errors.from_response(429, b"Slow down")

    assert refusal.text.endswith(": Slow down")
    assert refusal.kind is Kind.RETRY_AFTER


def test_an_error_that_came_as_a_success_never_has_a_success_status():
    assert errors.from_response(200, b'{"error":{"message":"no","code":100}}').status == 502


@given(
    st.dictionaries(
        st.sampled_from(["message", "code", "error_subcode", "error_data", "error_user_msg", "title"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.dictionaries(st.text(), st.text())),
    )
)
def test_any_error_object_gives_a_sentence_and_a_kind(error):
    for refusal in (errors.from_error(error, status=400), errors.from_webhook(error)):
        assert refusal.text
        assert refusal.kind in Kind
        assert refusal.error == error


def test_every_code_of_the_contract_is_known():
    path = SHARED / "contract" / "cloud-api-errors.json"
    if not path.exists():
        pytest.skip(f"the table of errors is not here: {path}")
    codes: set[int] = set()
    for row in json.loads(path.read_text()):
        for part in str(row["code"]).replace(" ", "").split(","):
            first, _, last = part.partition("-")
            codes |= {int(first), int(last or first)}

    unknown = {code for code in codes if refused({"message": "no", "code": code}).kind is Kind.UNKNOWN}

    assert codes
    assert not unknown
