"""Webhook bodies as Meta writes them, made by hand for one test."""

import itertools
from typing import Any

from tests.harness import BUSINESS, PERSON

_serial = itertools.count(1)


def new_wamid() -> str:
    return f"wamid.TEST{next(_serial):06}"


def webhook(
    value: dict[str, Any],
    *,
    field: str = "messages",
    number: str | None = BUSINESS.phone_numbers[0].id,
    waba: str = BUSINESS.waba_id,
) -> dict[str, Any]:
    """One body with one change."""
    about = {"display_phone_number": "15550002222", "phone_number_id": number} if number else {}
    value = {"messaging_product": "whatsapp", **({"metadata": about} if about else {}), **value}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": waba, "changes": [{"field": field, "value": value}]}],
    }


def message(
    wamid: str | None = None,
    *,
    phone: str | None = PERSON,
    bsuid: str | None = None,
    at: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """A text, unless `more` says otherwise; `at` counts seconds from the start of the tests' clock."""
    who = {"from": phone} if phone else {}
    if bsuid:
        who["from_user_id"] = bsuid
    content = more if "type" in more else {"type": "text", "text": {"body": "hi"}, **more}
    return {**who, "id": wamid or new_wamid(), "timestamp": str(second(at)), **content}


def contact(
    name: str | None = None,
    *,
    phone: str | None = PERSON,
    bsuid: str | None = None,
    username: str | None = None,
) -> dict[str, Any]:
    profile = {key: value for key, value in (("name", name), ("username", username)) if value}
    who = {key: value for key, value in (("wa_id", phone), ("user_id", bsuid)) if value}
    return {**({"profile": profile} if profile else {}), **who}


def received(
    *messages: dict[str, Any], contacts: list[dict[str, Any]] | None = None, **where: Any
) -> dict[str, Any]:
    return webhook({**({"contacts": contacts} if contacts else {}), "messages": list(messages)}, **where)


def echoed(*messages: dict[str, Any], **where: Any) -> dict[str, Any]:
    return webhook({"message_echoes": list(messages)}, field="smb_message_echoes", **where)


def status(wamid: str, word: str, *, at: int = 1, opaque: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"id": wamid, "status": word, "timestamp": str(second(at)), "recipient_id": PERSON, **more}
    if word == "failed":
        told.setdefault("errors", [{"code": 131026, "title": "Message undeliverable"}])
    return told | ({"biz_opaque_callback_data": opaque} if opaque else {})


def statuses(*told: dict[str, Any], **where: Any) -> dict[str, Any]:
    return webhook({"statuses": list(told)}, **where)


def second(at: int) -> int:
    return 1_795_000_000 + at
