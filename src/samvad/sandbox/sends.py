"""POST /{phone-number-id}/messages, the one hot request: bare ASGI, no framework in between."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from samvad.sandbox import checks, gates, interactive, templates, tokens, usage
from samvad.sandbox.entry_points import free_until, told_with
from samvad.sandbox.errors import GraphError, parameter, parameter_is_required, unknown_object
from samvad.sandbox.groups import participants_of, receiving
from samvad.sandbox.media import NotFetched, misfit
from samvad.sandbox.model import Json, Message
from samvad.sandbox.statuses import Statuses, contact_of, pricing_of, tail_of
from samvad.sandbox.world import Account, Accounts, Number, Refusal, World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 1024 * 1024
HANG_S = 120
MAX_OPAQUE = 512
MEDIA_KINDS = ("image", "video", "audio", "document", "sticker")
GROUP_ID = "Y2FwaV9ncm91cDo"  # base64 of "capi_group:", which every group id begins with

_JSON = (b"content-type", b"application/json; charset=UTF-8")
_TO_DIGITS = str.maketrans("", "", "+-() .")
_USER_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$")
_INBOUND_ONLY = ("button", "order", "system", "unsupported", "unknown", "edit", "revoke", "request_welcome")


class Disconnected(Exception):
    """The caller hung up before its request was complete."""


class Drop(Exception):
    """The connection is to be closed without an answer."""


class Hang(Exception):
    """The connection is to be kept without an answer."""


class Sends:
    """Accepts or refuses messages of businesses."""

    def __init__(self, world: World, statuses: Statuses) -> None:
        self._world = world
        self._statuses = statuses
        self._fetches: set[asyncio.Task[None]] = set()

    async def answer(
        self, scope: Scope, receive: Receive, send: Send, number_id: str, *, marketing: bool = False
    ) -> None:
        """Answer one request; a refusal is Meta's error body, never a 500."""
        world = self._world
        number: Number | None = None
        try:
            accounts = authorize(world, scope, tokens.MESSAGING)
            number = world.numbers.get(number_id)
            if number is None or number.account not in accounts:
                raise unknown_object("post", number_id)
            payload = checks.decode_object(await read_body(receive))
            if "status" in payload and not marketing:
                reply = self._mark_read(number, payload)
            else:
                reply = self._accept(number, payload, marketing=marketing)
                if world.settings.reply_delay_ms:
                    await asyncio.sleep(world.settings.reply_delay_ms / 1000)
        except GraphError as error:
            world.counts.refused += 1
            await refuse(world, send, error, number.account.waba_id if number else "")
        except Hang:
            await hang(receive, send)
        except Drop:
            await close_connection(receive, send)
        except Disconnected:
            return
        else:
            length = str(len(reply)).encode()
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [_JSON, (b"content-length", length)],
                }
            )
            await send({"type": "http.response.body", "body": reply})

    async def close(self) -> None:
        for task in self._fetches:
            task.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)

    def _accept(self, number: Number, payload: Json, *, marketing: bool) -> bytes:
        world = self._world
        settings = world.settings
        kind, template = self._check(number.account, payload)
        if marketing:
            gates.check_marketing(payload, template)
        digits, bsuid, given, group = self._recipient(number, payload, template)
        gates.check(world, number, payload, digits)
        if settings.throughput_per_s and not world.pace.number_may(
            number.id, settings.throughput_per_s, world.clock()
        ):
            raise GraphError(
                130429,
                "Message failed to send because there were too many messages sent from this phone number",
            )
        refusal = world.refusal_for(digits) if world.refusals else None
        if refusal is not None:
            refuse_now(refusal)
        if settings.pair_rate and not world.pace.pair_may(number.id, digits, world.clock()):
            raise GraphError(
                131056,
                "Message failed to send because there were too many messages sent from this phone number "
                "to the same phone number in a short period of time",
            )
        message = self._message(number, payload, kind, template, digits, bsuid, group)
        world.keep(message)
        world.counts.accepted += 1
        gates.noted(world, number, payload, digits)
        for participant in message.participants:
            world.phone(participant.digits).messages.append(message)
        self._plan(number, message, template, refusal)
        if refusal is not None and refusal.behaviour == "accept_then_drop":
            raise Drop
        contact = (
            f'{{"input":"{given}","user_id":"{given}"}}'
            if given == bsuid
            else f'{{"input":"{given}"}}'
            if group
            else f'{{"input":"{given}","wa_id":"{digits}"}}'
        )
        paced = ',"message_status":"accepted"' if template is not None else ""
        return (
            f'{{"messaging_product":"whatsapp","contacts":[{contact}],'
            f'"messages":[{{"id":"{message.wamid}"{paced}}}]}}'
        ).encode()

    def _check(self, account: Account, payload: Json) -> tuple[str, templates.Template | None]:
        _check_product(payload)
        kind = payload.get("type", "text")
        check = _KINDS.get(kind) if isinstance(kind, str) else None
        if check is None:
            if kind in _INBOUND_ONLY:
                raise GraphError(131051, "Message type is currently not supported.")
            raise GraphError(131009, f"Invalid message type. Allowed types: {', '.join(sorted(_KINDS))}")
        recipient_type = payload.get("recipient_type", "individual")
        if recipient_type not in ("individual", "group"):
            raise parameter("recipient_type", "must be one of {INDIVIDUAL, GROUP}.")
        content = payload.get(kind)
        if content is None:
            raise GraphError(131008, f"Parameter '{kind}' is mandatory for type '{kind}'")
        context = payload.get("context")
        if context is not None:
            checks.members(context, "context", ("message_id",), ("message_id",))
            checks.text(context["message_id"], "context['message_id']", 512)
        opaque = payload.get("biz_opaque_callback_data")
        if opaque is not None:
            checks.text(opaque, "biz_opaque_callback_data", MAX_OPAQUE, empty=True)
        shelf = self._world.media
        waba_id = account.waba_id

        def exists(media_id: str) -> bool:
            return shelf.find(media_id, waba_id) is not None

        if kind == "template":
            return kind, templates.check(content, account.templates, exists)
        check(content, exists)
        if kind == "pin" and recipient_type != "group":
            raise GraphError(131009, "Messages can be pinned in groups only")
        return kind, None

    def _recipient(
        self, number: Number, payload: Json, template: templates.Template | None
    ) -> tuple[str, str, str, bool]:
        """Digits, BSUID, what the caller wrote, and whether it is a group; `to` wins over `recipient`."""
        world = self._world
        to = payload.get("to")
        if to is None or to == "":
            return *self._by_user_id(number, payload.get("recipient"), template), False
        if isinstance(to, int) and 0 < to < 10**16:
            to = str(to)  # Meta takes a bare number too
        if not isinstance(to, str):
            raise parameter("to", "must be a string.")
        if payload.get("recipient_type") == "group":
            if not to.startswith(GROUP_ID) or not to.isascii() or not to.rstrip("=").isalnum():
                raise GraphError(131041, "The group does not exist or this number is not a member of it.")
            return to, "", to, True
        digits = to.translate(_TO_DIGITS)
        if not (digits.isascii() and digits.isdecimal() and 5 <= len(digits) <= 15):
            raise GraphError(131009, "Parameter 'to' is not a valid phone number.")
        if digits == number.display:
            raise GraphError(131021, "Recipient phone number cannot be the sender phone number.")
        allowed = world.settings.allowed_recipients
        if allowed and digits not in allowed:
            raise GraphError(
                131030,
                "Recipient phone number not in allowed list. Add recipient phone number to recipient list "
                "and try again.",
            )
        digits = world.wa_id(digits)
        return digits, world.user_id(number.account, digits), to, False

    def _by_user_id(
        self, number: Number, bsuid: Any, template: templates.Template | None
    ) -> tuple[str, str, str]:
        if bsuid is None:
            raise parameter_is_required("to")
        if not isinstance(bsuid, str) or not _USER_ID.match(bsuid):
            raise GraphError(131009, "Parameter 'recipient' is not a valid user id.")
        if template is not None and template.category == "AUTHENTICATION":
            raise GraphError(131062, "Authentication templates cannot be sent to a business-scoped user id.")
        digits = self._world.people.get(bsuid, "")
        if digits and self._world.user_id(number.account, digits) != bsuid:
            digits = ""  # the id belongs to another business, and means nobody to this one
        return digits, bsuid, bsuid

    def _message(
        self,
        number: Number,
        payload: Json,
        kind: str,
        template: templates.Template | None,
        digits: str,
        bsuid: str,
        group: bool,
    ) -> Message:
        world = self._world
        opaque = payload.get("biz_opaque_callback_data")
        hidden = not digits or (world.phone(digits).hidden and payload.get("to") in (None, ""))
        message = Message(
            wamid=world.identities.wamid(digits if digits and not group else number.display, received=False),
            number_id=number.id,
            digits=digits or bsuid,
            kind=kind,
            payload={kind: payload[kind]},
            at=world.clock(),
            from_business=True,
            contact="" if group else contact_of(digits, bsuid, hidden=hidden),
            tail=tail_of(digits, bsuid, opaque, hidden=hidden),
            group=group,
        )
        if "context" in payload:
            message.payload["context"] = payload["context"]
        category = "service" if template is None else template.category.lower()
        message.pricing = pricing_of(category, window_open=world.window_is_open(number, digits))
        if not group and (until := free_until(world, number, digits)) is not None:
            message.pricing_sent, message.pricing = told_with(number, digits, until)
        if group:
            message.participants = participants_of(world, receiving(world, number, digits))
            message.tail = tail_of(digits, "", opaque, hidden=False).replace(
                ',"recipient_user_id":""', ',"recipient_type":"group"'
            )
        return message

    def _plan(
        self, number: Number, message: Message, template: templates.Template | None, refusal: Refusal | None
    ) -> None:
        world, statuses = self._world, self._statuses
        if refusal is not None and refusal.asynchronous and refusal.code is not None:
            statuses.promise_failure(message, refusal.code, refusal.details)
        elif not (message.digits.isdecimal() or message.group) or self._is_not_on_whatsapp(message):
            statuses.promise_failure(message, 131026, "Message Undeliverable.")
        elif template is None and not message.group and not world.window_is_open(number, message.digits):
            statuses.promise_failure(
                message,
                131047,
                "Message failed to send because more than 24 hours have passed since the customer last "
                "replied to this number.",
            )
        elif (
            template is not None
            and template.category == "MARKETING"
            and number.id in world.phone(message.digits).no_marketing
        ):
            statuses.promise_failure(message, 131050, "The user has stopped marketing messages.")
        elif message.kind == "reaction" and not self._can_be_reacted_to(message):
            statuses.promise_failure(message, 131009, "The message to react to does not exist.")
        elif message.kind == "text" or (template is not None and not template.part.takes_media):
            statuses.promise(message)
        else:
            self._plan_media(number, message)

    def _is_not_on_whatsapp(self, message: Message) -> bool:
        return message.digits in self._world.settings.not_on_whatsapp

    def _can_be_reacted_to(self, reaction: Message) -> bool:
        target = self._world.messages.get(reaction.payload["reaction"]["message_id"])
        return target is not None and target.kind != "reaction" and target.digits == reaction.digits

    def _plan_media(self, number: Number, message: Message) -> None:
        """Statuses follow once the linked files are fetched, since Meta fetches before it delivers."""
        media = list(_media(message.payload))
        links = [(kind, asset["link"]) for kind, asset in media if asset.get("id") is None]
        waba_id = number.account.waba_id
        for kind, asset in media:
            known = self._world.media.find(str(asset.get("id")), waba_id)
            if known is not None:
                message.media_id = known.id
                complaint = misfit(kind, known.mime_type, len(known.data))
                if complaint is not None:
                    self._statuses.promise_failure(message, 131053, complaint)
                    return
        if not links:
            self._statuses.promise(message)
            return
        task = asyncio.get_running_loop().create_task(self._fetch(message, waba_id, links))
        self._fetches.add(task)
        task.add_done_callback(self._fetches.discard)

    async def _fetch(self, message: Message, waba_id: str, links: list[tuple[str, str]]) -> None:
        world = self._world
        try:
            for kind, link in links:
                asset = await world.media.fetch(world.deliveries.session, kind, link, waba_id)
                message.media_id = message.media_id or asset.id
        except NotFetched as error:
            self._statuses.promise_failure(message, 131053, str(error))
        else:
            self._statuses.promise(message)

    def _mark_read(self, number: Number, payload: Json) -> bytes:
        _check_product(payload)
        if payload["status"] != "read":
            raise parameter("status", "must be one of {READ}.")
        wamid = checks.text(payload.get("message_id"), "message_id", 512)
        typing = payload.get("typing_indicator")
        if typing is not None:
            checks.members(typing, "typing_indicator", ("type",), ("type",))
            if typing["type"] != "text":
                raise parameter("typing_indicator['type']", "must be one of {TEXT}.")
        message = self._world.messages.get(wamid)
        if message is None or message.from_business or message.number_id != number.id:
            raise GraphError(131009, "The message to mark as read does not exist.")
        for earlier in self._world.phone(message.digits).messages:
            if not earlier.from_business and earlier.number_id == number.id:
                earlier.status = "read"
            if earlier is message:
                break
        return b'{"success":true}'


def refuse_now(refusal: Refusal | None) -> None:
    """Do what was ordered for this call, if anything was, unless it is done after the answer."""
    if refusal is None:
        return
    match refusal.behaviour:
        case "hang":
            raise Hang
        case "drop":
            raise Drop
        case "500":
            raise GraphError(1, message="An unknown error occurred", http=500)
    if refusal.code is not None and not refusal.asynchronous:
        raise GraphError(refusal.code, refusal.details or "Refused at the wish of the sandbox's user.")


def authorize(world: World, scope: Scope, needed: str | None = None) -> Accounts:
    """The accounts of the request's token: a bearer, `OAuth <token>` or `?access_token=`.

    `needed` is the permission the call asks of a token that has not all of them.
    """
    token = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            accounts = world.bearers.get(value)
            if accounts is not None:
                return accounts
            scheme, _, token = value.partition(b" ")
            if scheme.lower() not in (b"bearer", b"oauth"):
                token = b""
            break
    if not token:
        token = parse_qs(scope.get("query_string", b"")).get(b"access_token", [b""])[0]
    if not token.strip():
        raise GraphError(104, message="An access token is required to request this resource")
    given = token.strip().decode("latin-1")
    accounts = world.tokens.get(given)
    if accounts is None:
        raise GraphError(190, message="Invalid OAuth access token - Cannot parse access token")
    tokens.check(world, given, needed)
    return accounts


async def read_body(receive: Receive) -> bytes:
    """The whole request body; raises Disconnected, and refuses what is too long."""
    event = await receive()
    body: bytes = event.get("body", b"")
    while event.get("more_body"):
        event = await receive()
        body += event.get("body", b"")
        if len(body) > MAX_BODY:
            raise GraphError(100, "The request body is too large.", http=413)
    if event["type"] == "http.disconnect":
        raise Disconnected
    return body


async def refuse(world: World, send: Send, error: GraphError, waba_id: str = "") -> None:
    """Answer with a refusal."""
    body = error.body(world.identities.trace())
    headers = [_JSON, (b"content-length", str(len(body)).encode()), (b"www-authenticate", error.challenge())]
    if (used_up := usage.header_of_refusal(error, waba_id)) is not None:
        headers.append((usage.HEADER.encode(), used_up.encode()))
    await send({"type": "http.response.start", "status": error.http, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hang(receive: Receive, send: Send) -> None:
    """Keep the caller waiting until it hangs up, or far longer than any caller waits."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HANG_S):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
    await close_connection(receive, send)


async def close_connection(receive: Receive, send: Send) -> None:
    """Close the connection without an answer.

    ASGI has no word for it, so this reaches for the server's transport behind `receive`; under a server that
    hides it, the answer breaks off in the middle, which is as bad for the caller.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        return
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


def _check_product(payload: Json) -> None:
    product = payload.get("messaging_product")
    if product is None:
        raise parameter_is_required("messaging_product")
    if product != "whatsapp":
        raise GraphError(100, message="(#100) Param messaging_product must be one of {WHATSAPP}.")


def _text(value: Any, exists: checks.MediaExists) -> None:
    content = checks.members(value, "text", ("body", "preview_url"))
    checks.text(content.get("body"), "text['body']", 4096)
    checks.flag(content.get("preview_url"), "text['preview_url']")


def _media_message(kind: str, *extra: str) -> Callable[[Any, checks.MediaExists], None]:
    def check(value: Any, exists: checks.MediaExists) -> None:
        checks.media(value, kind, extra, exists)

    return check


def _location(value: Any, exists: checks.MediaExists) -> None:
    place = checks.members(
        value, "location", ("latitude", "longitude", "name", "address", "url"), ("latitude", "longitude")
    )
    for member, most in (("latitude", 90), ("longitude", 180)):
        try:
            degrees = float(place[member])
        except (TypeError, ValueError, OverflowError):
            raise parameter(f"location['{member}']", "must be a number.") from None
        if not -most <= degrees <= most:
            raise GraphError(131009, f"Parameter location['{member}'] must be between -{most} and {most}.")
    checks.optional_text(place.get("name"), "location['name']", 1_000)
    checks.optional_text(place.get("address"), "location['address']", 1_000)


_CONTACT = ("name", "phones", "emails", "urls", "addresses", "org", "birthday")
_NAME = ("formatted_name", "first_name", "last_name", "middle_name", "suffix", "prefix")


def _contacts(value: Any, exists: checks.MediaExists) -> None:
    for at, contact in enumerate(checks.items(value, "contacts", 1, 257)):
        path = f"contacts[{at}]"
        checks.members(contact, path, _CONTACT, ("name",))
        checks.members(contact["name"], f"{path}['name']", _NAME, ("formatted_name",))
        for part in ("phones", "emails", "urls", "addresses"):
            entries = contact.get(part)
            if entries is not None and not (
                isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
            ):
                raise parameter(f"{path}['{part}']", "must be an array.")
        birthday = contact.get("birthday")
        if birthday is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", str(birthday)):
            raise parameter(f"{path}['birthday']", "must be in the format YYYY-MM-DD.")


def _reaction(value: Any, exists: checks.MediaExists) -> None:
    reaction = checks.members(value, "reaction", ("message_id", "emoji"), ("message_id", "emoji"))
    checks.text(reaction["message_id"], "reaction['message_id']", 512)
    checks.text(reaction["emoji"], "reaction['emoji']", 32, empty=True)


def _pin(value: Any, exists: checks.MediaExists) -> None:
    pin = checks.members(value, "pin", ("type", "message_id", "expiration_days"), ("type", "message_id"))
    if pin["type"] not in ("pin", "unpin"):
        raise parameter("pin['type']", "must be one of {PIN, UNPIN}.")
    checks.text(pin["message_id"], "pin['message_id']", 512)


def _is_checked_with_the_account(value: Any, exists: checks.MediaExists) -> None:
    raise AssertionError("templates are checked against the account's own")


def _media(value: Any) -> Iterator[tuple[str, Json]]:
    """Every media object within a payload, headers of templates and cards included."""
    if isinstance(value, list):
        for element in value:
            yield from _media(element)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in MEDIA_KINDS and isinstance(inner, dict) and ("link" in inner or "id" in inner):
                yield key, inner
            elif isinstance(inner, dict | list):
                yield from _media(inner)


_KINDS: dict[str, Callable[[Any, checks.MediaExists], None]] = {
    "text": _text,
    "image": _media_message("image", "caption"),
    "video": _media_message("video", "caption"),
    "audio": _media_message("audio", "voice"),
    "document": _media_message("document", "caption", "filename"),
    "sticker": _media_message("sticker"),
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "interactive": interactive.check,
    "template": _is_checked_with_the_account,
    "pin": _pin,
}
