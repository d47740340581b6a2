"""What becomes of an accepted message, told by webhook: sent, delivered, read or failed."""

import json
from functools import partial
from typing import Any, NamedTuple

from samvad.sandbox.errors import status_error
from samvad.sandbox.model import Message
from samvad.sandbox.world import Number, World

RANK = {"": 0, "sent": 1, "delivered": 2, "read": 3, "played": 4, "failed": 5}
UNREAD_KINDS = ("reaction", "pin")  # of these only "sent" is ever told
LINGER_S = 0.05  # how long a status waits for others to share its webhook, when webhooks are shared at all
FREE = ',"pricing":{"billable":false,"pricing_model":"PMP","type":"free_customer_service","category":"%s"}'
PAID = ',"pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"%s"}'

Part = tuple[str, str, str]


class Participant(NamedTuple):
    """Someone in a group whose phone tells what became of a message there."""

    digits: str
    bsuid: str
    hidden: bool

    @property
    def tail(self) -> str:
        phone = "" if self.hidden else f',"recipient_participant_id":"{self.digits}"'
        return f'{phone},"recipient_participant_user_id":"{self.bsuid}"'


def wire_json(value: Any) -> str:
    """JSON as Meta writes it, since its signature is over these bytes: ASCII only, slashes escaped."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


class Statuses:
    """Tells the business what happened to its messages."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shared: dict[str, list[Part]] = {}

    def promise(self, message: Message) -> None:
        """Plan the life of a message that will arrive."""
        world = self._world
        settings = world.settings
        delays = settings.delays
        plan = [("sent", delays.sent_ms)]
        if message.kind not in UNREAD_KINDS:
            plan.append(("delivered", delays.delivered_ms))
            if settings.auto_read:
                plan.append(("read", delays.read_ms))
                if message.kind == "audio" and message.payload["audio"].get("voice") in (True, "true"):
                    plan.append(("played", delays.played_ms))
        for status, delay_ms in plan:
            if settings.shuffle:
                delay_ms = world.chance.random() * max(delays.sent_ms, delays.delivered_ms, delays.read_ms)
            for participant in message.participants or (None,):
                world.timeline.after(delay_ms / 1000, partial(self.tell, message, status, participant))

    def promise_failure(self, message: Message, code: int, details: str | None = None) -> None:
        """Plan a failure: accepted now, told later."""
        delay_s = self._world.settings.delays.sent_ms / 1000
        self._world.timeline.after(delay_s, partial(self.fail, message, code, details))

    def fail(self, message: Message, code: int, details: str | None = None) -> None:
        message.error = status_error(code, details)
        if (
            code == 131026 and message.digits.isdecimal()
        ):  # Meta knows no user behind such a number, so it names none
            message.contact = f'{{"wa_id":"{message.digits}"}}'
        self.tell(message, "failed")

    def tell(self, message: Message, status: str, participant: Participant | None = None) -> None:
        """Send the webhook of one status, once in the life of the message; in a group, once per participant."""
        key = status if participant is None else f"{status} {participant.digits}"
        if key in message.told:
            return
        message.told.add(key)
        if RANK[status] > RANK[message.status]:
            message.status = status
        pricing = (message.pricing_sent or message.pricing) if status == "sent" else ""
        if status == "delivered":
            pricing = message.pricing
        errors = f',"errors":[{wire_json(message.error)}]' if status == "failed" else ""
        told = (
            f'{{"id":"{message.wamid}","status":"{status}","timestamp":"{int(self._world.clock())}"'
            f"{message.tail}{'' if participant is None else participant.tail}{pricing}{errors}}}"
        )
        number = self._world.numbers[message.number_id]
        contact = message.contact
        if participant is not None:
            contact = contact_of(participant.digits, participant.bsuid, hidden=participant.hidden)
        part = (contact, told, message.wamid)
        if self._world.settings.statuses_per_webhook == 1:
            self._post(number, [part])
        else:
            self._share(number, part)

    def forget(self) -> None:
        self._shared.clear()

    def _share(self, number: Number, part: Part) -> None:
        parts = self._shared.setdefault(number.id, [])
        parts.append(part)
        if len(parts) >= self._world.settings.statuses_per_webhook:
            self._flush(number)
        elif len(parts) == 1:
            self._world.timeline.after(LINGER_S, partial(self._flush, number))

    def _flush(self, number: Number) -> None:
        parts = self._shared.pop(number.id, [])
        if parts:
            self._post(number, parts)

    def _post(self, number: Number, parts: list[Part]) -> None:
        if len(parts) == 1:
            contacts, told, wamid = parts[0]
            wamids: tuple[str, ...] = (wamid,)
        else:
            contacts = ",".join(dict.fromkeys(part[0] for part in parts))
            told = ",".join(part[1] for part in parts)
            wamids = tuple(part[2] for part in parts)
        body = f'{number.head}"contacts":[{contacts}],"statuses":[{told}]}},"field":"messages"}}]}}]}}'
        self._world.deliveries.carry(
            self._world.callback(number), body.encode(), number.account.secret, wamids
        )


def contact_of(digits: str, bsuid: str, *, hidden: bool) -> str:
    return f'{{"user_id":"{bsuid}"}}' if hidden else f'{{"wa_id":"{digits}","user_id":"{bsuid}"}}'


def tail_of(digits: str, bsuid: str, opaque: str | None, *, hidden: bool) -> str:
    """The members of a status that stay the same over the life of a message."""
    recipient = "" if hidden else f',"recipient_id":"{digits}"'
    echo = "" if opaque is None else f',"biz_opaque_callback_data":{wire_json(opaque)}'
    return f'{recipient},"recipient_user_id":"{bsuid}"{echo}'


def pricing_of(category: str, *, window_open: bool) -> str:
    """Templates cost per delivery; answers within the window, and utility templates there, are free."""
    free = category == "service" or (category == "utility" and window_open)
    return (FREE if free else PAID) % category
