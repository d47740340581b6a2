"""Sending: the intent is durable before Meta hears of it, the answer before our caller does."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, literal_column, tuple_

from samvad.domain.chats import queries as chats
from samvad.domain.chats.queries import Place, Touch
from samvad.domain.contacts import queries as contacts
from samvad.domain.contacts.model import Contact, Identity, Person
from samvad.domain.messages import merging, statuses
from samvad.domain.messages.model import News, Order, Status, attachments_of, sort_second
from samvad.domain.messages.tables import idempotency_keys, messages
from samvad.kit.errors import Conflict, SamvadError
from samvad.storage import Tx, every_team
from samvad.storage.columns import among


class Begun(NamedTuple):
    """An order that is written down: Meta may be asked now."""

    order: Order
    contact: Contact | None


class Earlier(NamedTuple):
    """An order that repeats, under the same key, one that Meta has accepted already."""

    message_id: str
    wamid: str
    peer: str


class Answered(NamedTuple):
    """What the Cloud API said to an order; with no wamid it surely was not sent."""

    order: Order
    contact_id: str | None
    wamid: str | None
    wa_id: str | None
    error: dict[str, Any] | None
    at: int


BEGIN = every_team.upsert(messages).on_conflict_do_nothing(index_elements=["id"])

PROMISE = (
    every_team.upsert(idempotency_keys)
    .on_conflict_do_nothing()
    .returning(idempotency_keys.c.team_id, idempotency_keys.c.key)
)

PROMISED = (
    every_team.select(
        idempotency_keys.c.team_id,
        idempotency_keys.c.key,
        idempotency_keys.c.request_sha256,
        idempotency_keys.c.message_id.label("bound_to"),
        messages.c.id,
        messages.c.wamid,
        messages.c.peer,
    )
    .join(messages, messages.c.id == idempotency_keys.c.message_id, isouter=True)
    .where(among(idempotency_keys.c.key, "keys"))
)

RELEASE = every_team.delete(idempotency_keys).where(
    idempotency_keys.c.team_id == bindparam("team"),
    idempotency_keys.c.key == bindparam("name"),
    idempotency_keys.c.message_id == bindparam("order"),  # released once more it may be another's by now
)

_promise_key = tuple_(idempotency_keys.c.team_id, idempotency_keys.c.key)
OLD_PROMISES = every_team.delete(idempotency_keys).where(
    _promise_key.in_(
        every_team.select(idempotency_keys.c.team_id, idempotency_keys.c.key)
        .where(idempotency_keys.c.created_at < bindparam("before"))
        .order_by(idempotency_keys.c.created_at)
        .limit(bindparam("limit"))
    )
)

BY_WAMID = every_team.select(messages.c.team_id, messages.c.wamid, messages.c.id).where(
    among(messages.c.wamid, "wamids")
)

UNANSWERED = (
    every_team.select(
        messages.c.id, messages.c.team_id, messages.c.phone_number_id, messages.c.peer, messages.c.at
    )
    # A literal, and not by id: else SQLite does without the index of these few, and walks through all messages.
    .where(messages.c.status == literal_column("0"), messages.c.at < bindparam("before"))
    .order_by(messages.c.at, messages.c.id)
    .limit(bindparam("limit"))
)


def begin(tx: Tx, orders: Sequence[Order]) -> list[Begun | Earlier | SamvadError]:
    """Write down what we are about to ask of Meta, each under its key's promise once.

    An order that stands already, since nobody heard of its commit, is begun once more and stands as it was.
    """
    at = max(order.at for order in orders)
    earlier = _promise(tx, orders, at=at)
    fresh = [order for order in orders if order.id not in earlier]
    met = _meet(tx, fresh, at=at)
    places = _open_chats(tx, fresh, met, at=at)
    quoted = ids_by_wamid(tx, {(it.team_id, it.replies_to_wamid) for it in fresh if it.replies_to_wamid})
    if fresh:
        tx.execute_many(BEGIN, [_row(order, met.get(order.id), places, quoted) for order in fresh])
    return [earlier[it.id] if it.id in earlier else Begun(it, met.get(it.id)) for it in orders]


def finish(tx: Tx, answers: Sequence[Answered]) -> list[Status]:
    """Write down Meta's answers, and apply any status that was quicker than they.

    Returns each message's status as it stands then; a webhook may have brought it further.
    """
    at = max(answer.at for answer in answers)
    _also_known(tx, answers, at=at)  # first, since everybody locks people before messages
    news = [_news(answer) for answer in answers]
    reached = {it.id: it.status for it in statuses.apply(tx, news, at=at, answers=True)}
    statuses.unpark(tx, [answer.wamid for answer in answers if answer.wamid], at=at)
    released = [
        {"team": it.order.team_id, "name": it.order.promise.key, "order": it.order.id}
        for it in answers
        if it.order.promise is not None and it.wamid is None
    ]
    if released:  # it surely was not sent, so the key is free for another try
        tx.execute(RELEASE, released)
    return [reached.get(it.order.id, Status.SENDING) for it in answers]


def forget_oldest_promises(tx: Tx, *, before: int, limit: int) -> int:
    """Drop a chunk of those made before then, over all teams; returns how many."""
    return tx.execute(OLD_PROMISES, {"before": before, "limit": limit}).rowcount


def unanswered_oldest_first(tx: Tx, *, before: int, limit: int) -> Sequence[Row[Any]]:
    """Sends that Meta never answered, over all teams: nobody knows whether they arrived."""
    return tx.all(UNANSWERED, {"before": before, "limit": limit})


def ids_by_wamid(tx: Tx, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Our ids of messages by team and wamid; those of other teams are left out."""
    if not wanted:
        return {}
    rows = tx.all(BY_WAMID, {"wamids": {wamid for _, wamid in wanted}})
    return {(row.team_id, row.wamid): row.id for row in rows if (row.team_id, row.wamid) in wanted}


def _promise(tx: Tx, orders: Sequence[Order], *, at: int) -> dict[str, Earlier | SamvadError]:
    """Bind each key to its order; of those bound before, what came of them, by order id."""
    asking = {(it.team_id, it.promise.key): it for it in reversed(orders) if it.promise is not None}
    if not asking:
        return {}
    rows = [
        {"team_id": team, "key": key, "request_sha256": it.promise.request_sha256, "message_id": it.id}
        | {"created_at": at}
        for (team, key), it in asking.items()
        if it.promise is not None
    ]
    bound = {asking[row.team_id, row.key].id for row in tx.all(PROMISE, rows)}
    repeated = [it for it in orders if it.promise is not None and it.id not in bound]
    if not repeated:
        return {}
    rows_before = tx.all(PROMISED, {"keys": {it.promise.key for it in repeated if it.promise}})
    before = {(row.team_id, row.key): row for row in rows_before}
    return {
        it.id: _repeat(it.promise.request_sha256, known)
        for it in repeated
        if it.promise is not None and (known := before[it.team_id, it.promise.key]).bound_to != it.id
    }


def _repeat(request_sha256: str, before: Row[Any]) -> Earlier | SamvadError:
    if before.request_sha256 != request_sha256:
        return Conflict("This Idempotency-Key was used for another request; use a new key for each message.")
    if before.wamid is None:
        return Conflict(
            "The send under this Idempotency-Key is in progress, or WhatsApp has not answered it yet; "
            "ask again in a moment, and do not send it under another key."
        )
    return Earlier(before.id, before.wamid, before.peer or "")


def _meet(tx: Tx, orders: Sequence[Order], *, at: int) -> dict[str, Contact]:
    to_people = [order for order in orders if order.recipient is not None]
    if not to_people:
        return {}
    people = [Person(it.team_id, (it.recipient,)) for it in to_people if it.recipient is not None]
    met, merges = contacts.meet(tx, people, at=at)
    assert not merges, "one identity cannot be two people"
    return {order.id: contact for order, contact in zip(to_people, met, strict=True)}


def _open_chats(tx: Tx, orders: Sequence[Order], met: dict[str, Contact], *, at: int) -> dict[Place, str]:
    touches = [
        Touch(it.team_id, it.plugin_id, place, it.at, inbound=False)
        for it in orders
        if (place := _place(it, met.get(it.id))) is not None
    ]
    return chats.open_with(tx, touches, at=at) if touches else {}


def _place(order: Order, contact: Contact | None) -> Place | None:
    """Where it is said: in a group, or with its person; None where the recipient cannot be told."""
    if order.group_id is not None:
        return Place(order.phone_number_id, None, order.group_id)
    return Place(order.phone_number_id, contact.id) if contact else None


def _row(
    order: Order, contact: Contact | None, places: dict[Place, str], quoted: dict[tuple[str, str], str]
) -> dict[str, Any]:
    place = _place(order, contact)
    return {
        "id": order.id,
        "team_id": order.team_id,
        "plugin_id": order.plugin_id,
        "phone_number_id": order.phone_number_id,
        "chat_id": places[place] if place else None,
        "contact_id": contact.id if contact else None,
        "direction": "OUTBOUND",
        "peer": order.recipient.value if order.recipient else None,
        "data_type": order.data_type,
        "body": order.body,
        "text": order.text,
        "attachments": attachments_of(order.data_type, order.body.get(order.data_type) or {}),
        "status": Status.SENDING,
        "context": {**(order.context or {}), "group_id": order.group_id} if order.group_id else order.context,
        "source": order.source,
        "user_id": order.user_id,
        "in_reply_to": quoted.get((order.team_id, order.replies_to_wamid or "")),
        "target_wamid": order.replies_to_wamid,
        "second": sort_second(order.at),
        "at": order.at,
        "created_at": order.at,
        "updated_at": order.at,
    }


def _news(answer: Answered) -> News:
    order = answer.order
    if answer.wamid is None:
        return News(
            order.team_id, None, Status.FAILED, answer.at, answer.error, order.id, request_id=order.request_id
        )
    return News(
        order.team_id, answer.wamid, Status.SENT, answer.at, None, order.id, request_id=order.request_id
    )


def _also_known(tx: Tx, answers: Sequence[Answered], *, at: int) -> None:
    """Meta may know a number under another spelling (Brazil's ninth digit): the same person."""
    people = [
        Person(it.order.team_id, (it.order.recipient, Identity("phone", it.wa_id)))
        for it in answers
        if it.wa_id
        and it.order.recipient
        and it.order.recipient.kind == "phone"
        and it.wa_id != it.order.recipient.value
    ]
    if people:
        _, merges = contacts.meet(tx, people, at=at)
        merging.move_history(tx, merges, at=at)
