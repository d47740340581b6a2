"""What Meta says in a webhook body: bytes in, a flat list of frozen values out; no I/O.

One body may hold a thousand updates of several accounts, and each stands alone: what cannot be understood
becomes a `Problem` beside its neighbours. Nothing that arrives is dropped: an update is a `Received`, an
`Echo`, a `StatusNews`, or else an `Other` or `Problem` that keeps Meta's own object whole.

Fields that Meta documents as optional, and many it does not, may be absent. In particular a person who
adopted a username has no phone here, only a business-scoped user id (BSUID).
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec

Json = dict[str, Any]

UNKNOWN_TYPE = "unknown"

MAX_SECONDS = 253_402_300_799
"""The last second of the year 9999: past it, neither Python nor PostgreSQL has a date."""

FIRST_MILLISECONDS = 100_000_000_000
"""A timestamp from here on counts milliseconds: as seconds it would be after the year 5100."""


class Unreadable(ValueError):
    """The body as a whole is no webhook of Meta's; the sentence says what is wrong with it."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message from a person to the business.

    `phone` is digits only. `at` is epoch milliseconds, None when Meta gave no time. `content` is the object
    named after `type` (for `contacts`, which is a list, `{"contacts": [...]}`), empty when there is none.
    `text` is what a person would read. `phone_number_id` is "" when Meta left the metadata out.
    """

    waba_id: str
    phone_number_id: str
    wamid: str
    phone: str | None
    bsuid: str | None
    parent_bsuid: str | None
    name: str | None
    username: str | None
    type: str
    at: int | None
    content: Json
    text: str | None
    context: Json | None
    referral: Json | None
    group_id: str | None
    errors: list[Json]
    raw: Json


class Echo(msgspec.Struct, frozen=True, gc=False):
    """A message the business sent from elsewhere, such as its own phone.

    `to`, `bsuid` and `name` are the person's; the rest is as in `Received`. Types `edit` and `revoke` point
    at `content["original_message_id"]`.
    """

    waba_id: str
    phone_number_id: str
    wamid: str
    to: str | None
    bsuid: str | None
    parent_bsuid: str | None
    name: str | None
    username: str | None
    type: str
    at: int | None
    content: Json
    text: str | None
    context: Json | None
    referral: Json | None
    group_id: str | None
    errors: list[Json]
    raw: Json


class StatusNews(msgspec.Struct, frozen=True, gc=False):
    """What became of a message the business sent; `status` is Meta's word, which may be a new one.

    In a group, `phone` and `bsuid` are the participant's. `opaque` is what the send carried as
    `biz_opaque_callback_data`. `error` is the first of Meta's errors.
    """

    waba_id: str
    phone_number_id: str
    wamid: str
    status: str
    at: int | None
    phone: str | None
    bsuid: str | None
    opaque: str | None
    error: Json | None
    pricing: Json | None
    conversation: Json | None
    group_id: str | None
    raw: Json


class Other(msgspec.Struct, frozen=True, gc=False):
    """Any other webhook field, kept whole: templates, accounts, calls, history, preferences, errors."""

    waba_id: str
    field: str
    phone_number_id: str | None
    at: int | None
    value: Json


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One update that could not be understood: `where` in the body it stands, `why`, and the thing itself."""

    where: str
    why: str
    raw: Any


Said = Received | Echo | StatusNews | Other | Problem


def parse(body: bytes) -> list[Said]:
    """Everything a webhook body says, in its order; raises Unreadable when the body is no webhook at all."""
    said: list[Said] = []
    for entry_index, entry in enumerate(_entries(body)):
        changes = entry.get("changes") if type(entry) is dict else None
        if type(changes) is not list:
            said.append(Problem(f"entry[{entry_index}]", "it is no object with a list of changes", entry))
            continue
        waba_id = word(entry.get("id")) or ""
        entry_at = milliseconds(entry.get("time"))
        for change_index, change in enumerate(changes):
            if type(change) is dict and type(change.get("value")) is dict:
                field, value = word(change.get("field")) or "", change["value"]
                _read_value(said, field, value, waba_id, entry_at, entry_index, change_index)
            else:
                place = f"entry[{entry_index}].changes[{change_index}]"
                said.append(Problem(place, "it has no object as its value", change))
    return said


def message_ids(body: bytes) -> list[str]:
    """The id of every message, echo and status anywhere in a body, once per mention, history included."""
    return list(_ids_in(_decode(body)))


def message_of(raw: Json, *, outbound: bool, waba_id: str, phone_number_id: str) -> Received | Echo | None:
    """One message that stands elsewhere than in a list of messages, as history has them; None without an id."""
    said: list[Said] = []
    about = _About(waba_id, phone_number_id, None, [], 0, 0)
    _read_messages(said, "message_echoes" if outbound else "messages", [raw], None, about)
    found = said[0]
    return found if isinstance(found, Received | Echo) else None


class _About(msgspec.Struct, frozen=True, gc=False):
    """What the updates of one change have in common."""

    waba_id: str
    number_id: str
    entry_at: int | None
    people: list[Any]
    entry_index: int
    change_index: int

    def place(self, name: str) -> str:
        """Where in the body a list stands; made into words only when there is a problem to report."""
        return f"entry[{self.entry_index}].changes[{self.change_index}].value.{name}"


class _Person(msgspec.Struct, frozen=True, gc=False):
    """One of the value's contacts, as far as it is there."""

    phone: str | None
    bsuid: str | None
    parent_bsuid: str | None
    name: str | None
    username: str | None


_NOBODY = _Person(None, None, None, None, None)

_MESSAGE_LISTS = {
    "messages": ("messages", "statuses"),
    "smb_message_echoes": ("message_echoes",),
    "message_echoes": ("message_echoes",),
}
"""The lists that are read update by update, by webhook field; all the others are kept whole."""

_UNDERSTOOD = {
    field: frozenset({"messaging_product", "metadata", "contacts", *lists})
    for field, lists in _MESSAGE_LISTS.items()
}


def _read_value(
    said: list[Said],
    field: str,
    value: Json,
    waba_id: str,
    entry_at: int | None,
    entry_index: int,
    change_index: int,
) -> None:
    """One change: its messages or statuses one by one, whatever else it holds as `Other`."""
    metadata = value.get("metadata")
    number_id = word(metadata.get("phone_number_id")) if type(metadata) is dict else None
    lists = _MESSAGE_LISTS.get(field)
    errors = None
    if lists is not None:
        contacts = value.get("contacts")
        people = contacts if type(contacts) is list else []
        about = _About(waba_id, number_id or "", entry_at, people, entry_index, change_index)
        for name in lists:
            updates = value.get(name)
            if type(updates) is not list:
                if updates is not None:
                    said.append(Problem(about.place(name), "it is no list", updates))
            elif name == "statuses":
                _read_statuses(said, updates, about)
            else:
                errors = _errors_of_the_only_message(value, updates)
                _read_messages(said, name, updates, errors, about)
        if _UNDERSTOOD[field].issuperset(value):
            return
        value = _left_over(value, field, without_errors=bool(errors))
        if not value:
            return
    at = entry_at if entry_at is not None else milliseconds(value.get("timestamp"))
    said.append(Other(waba_id, field or UNKNOWN_TYPE, number_id, at, value))


def _errors_of_the_only_message(value: Json, messages: list[Any]) -> list[Json] | None:
    """The value's errors where they explain its one message, which Meta then sends without its content."""
    errors = value.get("errors")
    if type(errors) is not list or len(messages) != 1 or type(messages[0]) is not dict:
        return None
    return None if messages[0].get("errors") or word(messages[0].get("id")) is None else errors


def _left_over(value: Json, field: str, *, without_errors: bool) -> Json:
    """What a value holds beside its messages: errors of the account, and members nobody knows yet."""
    understood = _UNDERSTOOD[field]
    rest = {name: what for name, what in value.items() if name not in understood}
    if without_errors:
        del rest["errors"]
    return {"metadata": value["metadata"], **rest} if rest and "metadata" in value else rest


def _read_statuses(said: list[Said], statuses: list[Any], about: _About) -> None:
    alone = len(statuses) == 1
    for index, raw in enumerate(statuses):
        if type(raw) is not dict:
            said.append(Problem(f"{about.place('statuses')}[{index}]", "it is no object", raw))
            continue
        get = raw.get
        wamid, status = word(get("id")), word(get("status"))
        if wamid is None or status is None:
            missing = "it has no id" if wamid is None else "it has no status"
            said.append(Problem(f"{about.place('statuses')}[{index}]", missing, raw))
            continue

        group_id = None
        if get("recipient_type") == "group":
            group_id = word(get("recipient_id"))
            phone = digits(get("recipient_participant_id"))
            bsuid = word(get("recipient_participant_user_id"))
        else:
            phone, bsuid = digits(get("recipient_id")), word(get("recipient_user_id"))
        if about.people and (phone is None or bsuid is None):
            person = _find_person(about.people, phone, bsuid, alone)
            phone, bsuid = phone or person.phone, bsuid or person.bsuid

        at = milliseconds(get("timestamp"))
        errors = get("errors")
        said.append(
            StatusNews(
                about.waba_id,
                about.number_id,
                wamid,
                status,
                at if at is not None else about.entry_at,
                phone,
                bsuid,
                word(get("biz_opaque_callback_data")),
                next(iter(_errors(errors)), None) if errors else None,
                _object(get("pricing")),
                _object(get("conversation")),
                group_id,
                raw,
            )
        )


def _read_messages(
    said: list[Said], list_name: str, messages: list[Any], value_errors: object, about: _About
) -> None:
    """Messages received, or echoes of messages sent: the same shape with the person in other members."""
    alone = len(messages) == 1
    shape: type[Received] | type[Echo] = Received
    phone_member, bsuid_member, parent_member = "from", "from_user_id", "from_parent_user_id"
    if list_name == "message_echoes":
        shape = Echo
        phone_member, bsuid_member, parent_member = "to", "to_user_id", "to_parent_user_id"
    for index, raw in enumerate(messages):
        if type(raw) is not dict or (wamid := word(raw.get("id"))) is None:
            said.append(Problem(f"{about.place(list_name)}[{index}]", "it is no object with an id", raw))
            continue
        get = raw.get
        phone, bsuid = digits(get(phone_member)), word(get(bsuid_member))
        person = _find_person(about.people, phone, bsuid, alone)
        kind = _type_of(raw)
        content = _content(kind, raw)
        at = milliseconds(get("timestamp"))
        said.append(
            shape(
                about.waba_id,
                about.number_id,
                wamid,
                phone or person.phone,
                bsuid or person.bsuid,
                word(get(parent_member)) or person.parent_bsuid,
                person.name,
                person.username,
                kind,
                at if at is not None else about.entry_at,
                content,
                _text(kind, content),
                _object(get("context")),
                _object(get("referral")),
                word(get("group_id")),
                _errors(get("errors") or value_errors),
                raw,
            )
        )


def _find_person(people: list[Any], phone: str | None, bsuid: str | None, alone: bool) -> _Person:
    """The contact an update is about.

    Contacts carry no reference to their message: they match by phone or BSUID. An update that names nobody
    takes the only contact if it is itself the only update. One that names another person takes none, so
    that two people are never made one.
    """
    for contact in people:
        if type(contact) is not dict:
            continue
        its_phone, its_bsuid = digits(contact.get("wa_id")), word(contact.get("user_id"))
        if (
            (bsuid is not None and bsuid == its_bsuid)
            or (phone is not None and phone == its_phone and (bsuid is None or its_bsuid is None))
            or (phone is None and bsuid is None and alone and len(people) == 1)
        ):
            profile = contact.get("profile")
            if type(profile) is not dict:
                profile = {}
            return _Person(
                its_phone,
                its_bsuid,
                word(contact.get("parent_user_id")),
                word(profile.get("name")),
                word(profile.get("username")) or word(contact.get("username")),
            )
    return _NOBODY


_CONTENT_TYPES = (
    "text", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction",
    "interactive", "button", "order", "system", "edit", "revoke", "unsupported",
)  # fmt: skip


def _type_of(message: Json) -> str:
    """The message's type; where Meta left it out, the content that is there says it."""
    kind = word(message.get("type"))
    if kind is not None:
        return kind
    return next((name for name in _CONTENT_TYPES if name in message), UNKNOWN_TYPE)


def _content(kind: str, message: Json) -> Json:
    content = message.get(kind)
    if type(content) is dict:
        return content
    return {kind: content} if type(content) is list else {}


def _text(kind: str, content: Json) -> str | None:
    """The plain text a person would read; None for media without a caption and for anything wordless."""
    match kind:
        case "text" | "system":
            words = content.get("body")
        case "button" | "order":
            words = content.get("text")
        case "interactive":
            words = _interactive_text(content)
        case "reaction":
            words = content.get("emoji")
        case "location":
            words = content.get("name") or content.get("address")
        case "contacts":
            words = _contact_names(content.get("contacts"))
        case "edit":
            edited = _object(content.get("message"))
            if edited is None:
                return None
            inner = _type_of(edited)
            # An edit inside an edit does not exist; not following one keeps this from being a deep recursion.
            return None if inner == "edit" else _text(inner, _content(inner, edited))
        case _:
            words = content.get("caption") or content.get("body") or content.get("text")
    return words if type(words) is str and words else None


def _interactive_text(interactive: Json) -> object:
    """The title of what was tapped, or the body of a filled-in form."""
    for name in ("button_reply", "list_reply"):
        if type(reply := interactive.get(name)) is dict:
            return reply.get("title")
    form = interactive.get("nfm_reply")
    body = form.get("body") if type(form) is dict else interactive.get("body")
    return body.get("text") if type(body) is dict else body  # an echoed interactive message has body.text


def _contact_names(cards: object) -> str | None:
    if type(cards) is not list:
        return None
    names = [card["name"] for card in cards if type(card) is dict and type(card.get("name")) is dict]
    shown = [word(name.get("formatted_name")) or word(name.get("first_name")) for name in names]
    return ", ".join(name for name in shown if name) or None


def word(given: object) -> str | None:
    """An id or a name: a non-empty string. Some senders write ids as numbers."""
    if type(given) is str:
        return given or None
    return str(given) if type(given) is int else None


def digits(given: object) -> str | None:
    """A phone number as digits alone, or None: group ids, BSUIDs and placeholders are no phone numbers."""
    if type(given) is str:
        if given.isdigit() and given.isascii():
            return given
        bare = given.translate(_PHONE_PUNCTUATION)
        return bare if bare.isdigit() and bare.isascii() else None
    return str(given) if type(given) is int and given > 0 else None


_PHONE_PUNCTUATION = str.maketrans("", "", "+-() ")


def milliseconds(given: object) -> int | None:
    """A time of Meta's (seconds, as digits or a number) in epoch milliseconds; None when it is none."""
    if type(given) is str:
        try:
            seconds = int(given)
        except ValueError:
            return None
    elif type(given) is int:
        seconds = given
    elif type(given) is float:
        seconds = int(given)
    else:
        return None
    if 0 < seconds < FIRST_MILLISECONDS:
        return seconds * 1000
    return seconds if FIRST_MILLISECONDS <= seconds <= MAX_SECONDS * 1000 else None


def objects(given: object) -> list[Json]:
    """The objects of a list, leaving out what is none."""
    return [it for it in given if type(it) is dict] if type(given) is list else []


def _object(given: object) -> Json | None:
    return given if type(given) is dict else None


def _errors(given: object) -> list[Json]:
    if given is None:
        return []
    return [error for error in given if type(error) is dict] if type(given) is list else []


def _entries(body: bytes) -> list[Any]:
    decoded = _decode(body)
    if type(decoded) is not dict:
        raise Unreadable("The webhook body is not a JSON object.")
    entries = decoded.get("entry")
    if type(entries) is not list:
        raise Unreadable('The webhook body has no list called "entry".')
    return entries


_decoder = msgspec.json.Decoder()


def _decode(body: bytes) -> Any:
    """The body as Python objects, safe to store in PostgreSQL."""
    try:
        decoded = _decoder.decode(body)
        # PostgreSQL has no NUL in text or jsonb. The bytes are looked for first: they are hardly ever there.
        return _mended(decoded) if b"\\u0000" in body else decoded
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _decode_leniently(body)
    except RecursionError:
        raise Unreadable("The webhook body is nested too deeply to be read.") from None


def _decode_leniently(body: bytes) -> Any:
    """JSON that only a strict reader refuses: half an emoji (a text cut in two), bad UTF-8, NaN, 1e999.

    One such character must not cost the other updates of its body, so it becomes U+FFFD, a number None.
    """
    try:
        decoded = json.loads(
            body.decode("utf-8-sig", "replace"), parse_constant=lambda _: None, parse_float=_finite
        )
        return _mended(decoded)
    except ValueError:
        raise Unreadable("The webhook body is not JSON.") from None
    except RecursionError:
        raise Unreadable("The webhook body is nested too deeply to be read.") from None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _mended(thing: Any) -> Any:
    """The same thing with U+FFFD for every character that PostgreSQL cannot store, keys included."""
    if type(thing) is str:
        return thing.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if type(thing) is dict:
        return {_mended(name): _mended(what) for name, what in thing.items()}
    return [_mended(what) for what in thing] if type(thing) is list else thing


_ID_LISTS = frozenset(name for lists in _MESSAGE_LISTS.values() for name in lists)


def _ids_in(thing: Any) -> Iterator[str]:
    if type(thing) is dict:
        for name, what in thing.items():
            if name in _ID_LISTS and type(what) is list:
                for item in what:
                    if type(item) is dict and (found := word(item.get("id"))) is not None:
                        yield found
            yield from _ids_in(what)
    elif type(thing) is list:
        for what in thing:
            yield from _ids_in(what)
