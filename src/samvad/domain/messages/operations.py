"""What one can do with messages: send, list."""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from samvad.domain.accounts.access import Who
from samvad.domain.chats.queries import access_to_chats
from samvad.domain.contacts.model import Contact, Identity, identity_of
from samvad.domain.context import Context
from samvad.domain.messages import queries, sends
from samvad.domain.messages.model import Message, Order, Promise, Status, text_of
from samvad.domain.messages.sends import Answered, Begun, Earlier
from samvad.domain.templates import operations as templates
from samvad.domain.templates.values import TemplateValues
from samvad.domain.waba.model import Sender
from samvad.kit import errors, phones, tracing
from samvad.kit.chance import chance
from samvad.kit.ids import new_id
from samvad.storage import Database, Tx
from samvad.whatsapp.cloud_api import DEFAULT_VERSION
from samvad.whatsapp.errors import Refusal
from samvad.whatsapp.exchange import NotSent, Unknown
from samvad.whatsapp.outcomes import Accepted, Done, Refused

log = structlog.get_logger(__name__)

PASSED_ON = (400, 401, 403, 404, 409, 413, 429)
"""Refusals of Meta whose status our own contract knows; others are a 400."""

LONGEST_KEY = 255  # characters of an Idempotency-Key


FORGET_CHUNK = 1_000
"""Promises between two commits. Those of ten minutes at once, at 1,000 a second, would stop everything for seconds."""

LONGEST_GROUP = 200  # characters of a group's id; Meta's have 60

TRIES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Before something is written once more that a database in trouble did not take, or may have taken."""

PAUSES_S = (1.0, 2.0, 4.0, 8.0)
"""Before a throttled send is tried again; Meta says 4^n seconds, and more where it knows better."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which of Meta's doors a send takes."""

    version: str = DEFAULT_VERSION
    edge: str = "messages"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message Meta has accepted: `answer` is Meta's reply, ours where it repeats an earlier one."""

    message_id: str
    wamid: str
    answer: dict[str, Any]


async def send(
    ctx: Context,
    sender: Sender,
    payload: dict[str, Any],
    *,
    version: str,
    edge: str = "messages",
    idempotency_key: str | None = None,
) -> Sent | None:
    """Send a message in Meta's own words; None for what names no message, such as a read receipt.

    `edge` is `messages`, or `marketing_messages` for Meta's Marketing Messages API.

    The intent is durable before Meta hears of it. Raises kit.errors: Refused (Meta said no), Ambiguous
    (Meta did not answer: the message stays `sending` and is never sent again by us), Conflict (the
    idempotency key), Unavailable (nothing was sent).
    """
    _check_key(idempotency_key)
    if "status" in payload:
        await _tell(ctx, sender, payload, Route(version, edge))
        return None
    data_type = payload.get("type", "text")
    data_type = data_type if isinstance(data_type, str) else "unknown"
    content = payload.get(data_type)
    context = payload.get("context")
    quoted = context.get("message_id") if isinstance(context, dict) else None
    order = Order(
        id=new_id(),
        team_id=ctx.team_id,
        plugin_id=sender.plugin_id,
        phone_number_id=sender.phone_number_id,
        recipient=_recipient(payload),
        data_type=data_type,
        body={data_type: content},
        text=await _words(ctx, sender, data_type, content),
        at=ctx.now(),
        user_id=ctx.user_id,
        replies_to_wamid=quoted if isinstance(quoted, str) else None,
        group_id=_group(payload),
        promise=_promise(idempotency_key, sender, f"{version}/{edge}", payload),
        request_id=tracing.current(),
    )
    sent, _ = await _carry_out(ctx, sender, order, payload, Route(version, edge))
    return sent


async def send_template(
    ctx: Context,
    sender: Sender,
    *,
    to: str,
    name: str,
    language: str | None,
    values: TemplateValues,
    idempotency_key: str | None = None,
) -> Message:
    """Send an approved template; allowed inside and outside the session window.

    Every variable is checked against the template before Meta is asked. Raises as `send` does, and
    BadRequest naming each variable that is missing or unknown.
    """
    _check_key(idempotency_key)
    template, filled = await templates.fill(ctx, sender, name=name, language=language, values=values)
    payload = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "type": "template",
        "template": filled.payload,
    }
    order = Order(
        id=new_id(),
        team_id=ctx.team_id,
        plugin_id=sender.plugin_id,
        phone_number_id=sender.phone_number_id,
        recipient=Identity("phone", to),
        data_type="template",
        body={"body": filled.text},
        text=filled.text,
        at=ctx.now(),
        user_id=ctx.user_id,
        context={"contactIdentifier": to, "messageTemplateId": template.id},
        source={"sourceId": ctx.key_id, "sourceType": "API"} if ctx.key_id else None,
        promise=_promise(idempotency_key, sender, "template", payload),
        request_id=tracing.current(),
    )
    sent, message = await _carry_out(ctx, sender, order, payload)
    if message is None:  # the key's earlier send
        message = await ctx.db.read(queries.find, sent.message_id)
        assert message is not None, "a promise names a message that is gone"
    return message


async def list_with(ctx: Context, phone: str, *, limit: int, skip: int) -> tuple[list[Message], bool]:
    """One page of what was said with a person in chats the caller sees, newest first, and whether there is more."""

    def unit(tx: Tx) -> list[Message]:
        access, identity = access_to_chats(tx, Who.of(ctx)), Identity("phone", phone)
        return queries.newest_first(tx, identity=identity, limit=limit + 1, skip=skip, access=access)

    page = await ctx.db.read(unit)
    return page[:limit], len(page) > limit


async def forget_promises(db: Database, *, before: int) -> None:
    """Free the idempotency keys of before then, a chunk at a time."""
    while await db.write(sends.forget_oldest_promises, before=before, limit=FORGET_CHUNK) == FORGET_CHUNK:
        pass


async def _carry_out(
    ctx: Context, sender: Sender, order: Order, payload: dict[str, Any], route: Route | None = None
) -> tuple[Sent, Message | None]:
    """Write the intent down, ask Meta, write the answer down."""
    begun: Begun | Earlier = await _begin(ctx, order)
    if isinstance(begun, Earlier):
        return Sent(begun.message_id, begun.wamid, _meta_answer(begun.peer, begun.wamid)), None
    # Our id travels along and comes back with every status, so that an answer which never reached us
    # is found out. A client's own word there is the client's: it is passed on, and ours stays at home.
    traced = (
        payload
        if "biz_opaque_callback_data" in payload
        else {**payload, "biz_opaque_callback_data": order.id}
    )
    try:
        outcome = await _ask(ctx, sender, traced, route or Route())
    except BaseException:
        log.warning("send.unanswered", message=order.id, team=order.team_id, reason="interrupted")
        raise
    match outcome:
        case Accepted(wamid, wa_id, answer):
            status = await _write_answer(ctx, begun, wamid=wamid, wa_id=wa_id)
            return Sent(order.id, wamid, answer), _as_message(begun, wamid, status)
        case Refused(refusal) if not refusal.ambiguous:
            await _write_answer(ctx, begun, error=_error_context(refusal))
            raise _refused(refusal)
        case NotSent(reason):
            await _write_answer(ctx, begun, error={"message": f"Not sent: {reason}"})
            raise errors.Unreachable(f"WhatsApp could not be reached, and nothing was sent: {reason}")
        case Refused(refusal):
            log.warning("send.unanswered", message=order.id, team=order.team_id, reason=refusal.text)
            raise _refused(refusal)
        case Unknown(reason) | Done(reason):
            log.warning("send.unanswered", message=order.id, team=order.team_id, reason=str(reason))
            raise errors.Ambiguous(
                f"WhatsApp did not answer ({reason}), so the message {order.id} may or may not have been sent. "
                "It is not sent again; its status webhook will tell. Do not repeat it blindly."
            )


async def _ask(
    ctx: Context, sender: Sender, payload: dict[str, Any], route: Route
) -> Accepted | Done | Refused | NotSent | Unknown:
    """Ask Meta; and again, within our patience, where it turned the request away and waiting helps.

    Such a refusal is certain: the message cannot arrive twice. After anything else nothing is repeated.
    """
    until = time.monotonic() + ctx.resources.send_patience_s
    for pause_s in (*PAUSES_S, None):
        outcome = await ctx.resources.cloud.send(
            sender.phone_number_id, payload, token=sender.access_token, version=route.version, edge=route.edge
        )
        if pause_s is None or not isinstance(outcome, Refused) or not outcome.refusal.may_be_repeated:
            return outcome
        pause_s = max(pause_s, (outcome.refusal.wait_ms or 0) / 1000) * chance.uniform(1.0, 1.2)
        if time.monotonic() + pause_s > until:
            return outcome
        await asyncio.sleep(pause_s)
    raise AssertionError("the last round returns")


async def _words(ctx: Context, sender: Sender, data_type: str, content: Any) -> str | None:
    """What a person would read; of a template as far as we know it, for Meta is not asked."""
    if data_type == "template":
        return await templates.text_of(ctx, sender, content)
    return text_of(data_type, content)


async def _tell(ctx: Context, sender: Sender, payload: dict[str, Any], route: Route) -> None:
    """A read receipt: nothing to remember, and harmless to repeat."""
    match await _ask(ctx, sender, payload, route):
        case Refused(refusal):
            raise _refused(refusal)
        case NotSent(reason) | Unknown(reason):
            raise errors.Unreachable(f"WhatsApp could not be reached: {reason}")


async def _begin(ctx: Context, order: Order) -> Begun | Earlier:
    """Write the intent down; once more where the database went away in the middle, for else its key stays taken."""
    lost: errors.Lost | None = None
    for pause_s in (*TRIES_S, None):
        try:
            begun: Begun | Earlier = await ctx.resources.sends.put(order)
            return begun
        except errors.Unavailable as trouble:
            lost = trouble if isinstance(trouble, errors.Lost) else lost
            if lost is None:  # nothing was written
                raise
            if pause_s is None:
                raise lost from trouble
            await asyncio.sleep(pause_s)
    raise AssertionError("the last round returns or raises")


async def _write_answer(
    ctx: Context, begun: Begun, *, wamid: str | None = None, wa_id: str | None = None, error: Any = None
) -> Status:
    """Write down what Meta said, and again while the database is in trouble.

    Where that does not end our caller hears what Meta said all the same: told to try again, they would send it a
    second time. The message stays open then; its status webhook, which brings our id back, completes it.
    """
    order = begun.order
    contact_id = begun.contact.id if begun.contact else None
    answered = Answered(order, contact_id, wamid, wa_id, error, ctx.now())
    for pause_s in (*TRIES_S, None):
        try:
            status: Status = await ctx.resources.outcomes.put(answered)
            ctx.resources.bells.deliveries.ring()
            return status
        except Exception as trouble:  # whatever it is: an error now would have the message sent once more
            if pause_s is None:
                log.error(
                    "send.answer_not_kept",
                    message=order.id,
                    team=order.team_id,
                    wamid=wamid,
                    reason=repr(trouble),
                )
                break
            await asyncio.sleep(pause_s)
    return Status.FAILED if wamid is None else Status.SENT


def _recipient(payload: dict[str, Any]) -> Identity | None:
    """Whom a message is for, as far as it can be told; Meta judges whether it is right."""
    if payload.get("recipient_type") == "group":
        return None
    to, bsuid = payload.get("to"), payload.get("recipient")
    if isinstance(to, (str, int)) and not isinstance(to, bool) and to:
        try:
            return Identity("phone", phones.digits(to))
        except errors.BadRequest:
            return None
    return identity_of(bsuid) if isinstance(bsuid, str) and 0 < len(bsuid) <= 200 else None


def _group(payload: dict[str, Any]) -> str | None:
    if payload.get("recipient_type") != "group":
        return None
    to = payload.get("to")
    return to if isinstance(to, str) and 0 < len(to) <= LONGEST_GROUP else None


def _check_key(key: str | None) -> None:
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise errors.BadRequest(f"Idempotency-Key must have 1 to {LONGEST_KEY} characters; got {len(key)}.")


def _promise(key: str | None, sender: Sender, what: str, payload: dict[str, Any]) -> Promise | None:
    if key is None:
        return None
    said = msgspec.json.encode([sender.phone_number_id, what, payload])
    return Promise(key, hashlib.sha256(said).hexdigest())


def _meta_answer(peer: str, wamid: str) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": peer, "wa_id": peer}],
        "messages": [{"id": wamid}],
    }


def _error_context(refusal: Refusal) -> dict[str, Any]:
    return {"message": refusal.text, "providerPayload": refusal.error}


def _refused(refusal: Refusal) -> errors.Refused:
    """Meta's own status for a no; a trouble of Meta's is a bad gateway to our caller."""
    status = refusal.status if refusal.status in PASSED_ON else 400
    return errors.Refused(
        refusal.text,
        status=502 if refusal.status >= 500 else status,
        error=refusal.error,
        retry_after_ms=refusal.wait_ms,
    )


def _as_message(begun: Begun, wamid: str, status: Status) -> Message:
    """A message as the immediate reply shows it: chat and contact are told by the lists later."""
    order, contact = begun
    return Message(
        id=order.id,
        team_id=order.team_id,
        plugin_id=order.plugin_id,
        phone_number_id=order.phone_number_id,
        chat_id=None,
        contact_id=None,
        process_id=_lead(contact),
        wamid=wamid,
        direction="OUTBOUND",
        peer=order.recipient.value if order.recipient else None,
        data_type=order.data_type,
        body=order.body,
        text=order.text,
        attachments=None,
        status=status,
        error=None,
        context=order.context,
        source=order.source,
        user_id=order.user_id,
        in_reply_to=None,
        at=order.at,
        created_at=order.at,
        updated_at=order.at,
    )


def _lead(contact: Contact | None) -> str | None:
    return contact.process_id if contact else None
