"""All the sandbox remembers: accounts, phones, messages, refusals to come, and what was counted."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from samvad.sandbox.default_templates import default_templates
from samvad.sandbox.deliveries import Deliveries
from samvad.sandbox.identity import Identities, stable_id, user_id, usual_wa_id
from samvad.sandbox.media import MediaShelf
from samvad.sandbox.model import Business, Message, PhoneNumber
from samvad.sandbox.pace import Pace
from samvad.sandbox.settings import Settings
from samvad.sandbox.templates import Template, read_template
from samvad.sandbox.timeline import Timeline

WINDOW_S = 24 * 3600
MAX_MESSAGES = 100_000
MAX_CALLS = 20_000
MAX_MESSAGES_PER_PHONE = 1_000
MAX_PHONES = 200_000

Area = TypeVar("Area")


class Account:
    """A business with what changes about it: whether its app listens, and where."""

    def __init__(self, business: Business) -> None:
        self.business = business
        self.waba_id = business.waba_id
        self.secret = business.app_secret.encode()
        self.app_id = stable_id("app", business.app_secret)
        self.subscribed = True
        self.callback: str | None = None
        self._configured = tuple(Number(number, self) for number in business.phone_numbers)
        self.forget()

    def forget(self) -> None:
        """Have the numbers and templates of the configuration again, and no others."""
        self.numbers = self._configured
        given = self.business.templates or default_templates()
        read = [read_template(self.waba_id, one) for one in given]
        self.templates: dict[tuple[str, str], Template] = {(one.name, one.language): one for one in read}
        self.templates_by_id: dict[str, Template] = {one.id: one for one in read}
        self.creations: list[float] = []
        self.edits: dict[str, list[float]] = {}
        self.names_in_use: dict[tuple[str, str], float] = {}  # of deleted templates, until when

    def keep_template(self, template: Template) -> None:
        """Put a changed template into its place, and a new one before all others, as Graph lists them."""
        key = (template.name, template.language)
        self.templates = (
            self.templates | {key: template} if key in self.templates else {key: template} | self.templates
        )
        self.templates_by_id[template.id] = template

    def drop_template(self, template: Template) -> None:
        del self.templates[template.name, template.language]
        del self.templates_by_id[template.id]
        self.edits.pop(template.id, None)


class Number:
    """A business phone number; `head` is how every webhook about it begins."""

    def __init__(self, number: PhoneNumber, account: Account) -> None:
        self.number = number
        self.id = number.id
        self.display = number.display
        self.account = account
        self.callback: str | None = None
        self.head = (
            f'{{"object":"whatsapp_business_account","entry":[{{"id":"{account.waba_id}","changes":[{{"value":'
            f'{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"{number.display}",'
            f'"phone_number_id":"{number.id}"}},'
        )


Accounts = tuple[Account, ...]  # what one token opens: an app may serve several accounts


@dataclass(slots=True, eq=False)
class Phone:
    """A virtual phone: its messages, and until when each business number may write freely."""

    digits: str
    name: str
    hidden: bool = False
    windows: dict[str, float] = field(default_factory=dict)
    no_marketing: set[str] = field(default_factory=set)  # the numbers whose marketing this person stopped
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=MAX_MESSAGES_PER_PHONE))


@dataclass(slots=True)
class Refusal:
    """What the next sends meet: a refusal with a code, or a connection that misbehaves."""

    code: int | None
    behaviour: str | None
    times: int
    details: str | None
    to: str | None
    asynchronous: bool
    calls: str = "sends"
    path: str = ""
    method: str = ""

    def taken_from(self, refusals: "list[Refusal]") -> "Refusal":
        """This refusal, counted, and gone from the list after its last time."""
        self.times -= 1
        if self.times <= 0:
            refusals.remove(self)
        return self


@dataclass(slots=True)
class SendCounts:
    accepted: int = 0
    refused: int = 0
    received: int = 0
    wamids: int = 0


class World:
    """The state behind one Sandbox."""

    def __init__(
        self, businesses: Sequence[Business], settings: Settings, seed: int, clock: Callable[[], float]
    ) -> None:
        self.clock = clock
        self.initial_settings = settings
        self.settings = settings
        self.chance = random.Random(seed)
        self.identities = Identities(seed, clock)
        self.timeline = Timeline()
        self.deliveries = Deliveries(self.timeline, lambda: self.settings, self.chance)
        self.media = MediaShelf(clock, self.identities.object_id)
        self.base_url = ""

        self.accounts = {business.waba_id: Account(business) for business in businesses}
        self.numbers = {number.id: number for account in self.accounts.values() for number in account.numbers}
        self.tokens: dict[str, Accounts] = {}
        for account in self.accounts.values():
            token = account.business.access_token
            self.tokens[token] = (*self.tokens.get(token, ()), account)
        self._open()
        self._empty()

    def _open(self) -> None:
        # The whole header as bytes, so that the hot path answers "who is this" with one look.
        self.bearers = {b"Bearer " + token.encode(): accounts for token, accounts in self.tokens.items()}

    def _empty(self) -> None:
        self.messages: dict[str, Message] = {}
        self.phones: dict[str, Phone] = {}
        self.people: dict[str, str] = {}
        self.user_ids: dict[tuple[str, str], str] = {}
        self.refusals: list[Refusal] = []
        self.counts = SendCounts()
        self.calls: deque[tuple[int, str, str]] = deque(maxlen=MAX_CALLS)
        self.pace = Pace()
        self._areas: dict[type[Any], Any] = {}

    def reset(self) -> None:
        """Forget phones, messages, media, refusals, settings, what became of templates, the log and the counters.

        Subscriptions stay, since they are the client's configuration and it would not know to repeat them.
        """
        self.timeline.forget()
        self.deliveries.forget()
        self.media.forget()
        for account in self.accounts.values():
            account.forget()
        self.numbers = {number.id: number for account in self.accounts.values() for number in account.numbers}
        self._open()
        self.settings = self.initial_settings
        self._empty()

    def area(self, kind: type[Area]) -> Area:
        """What one area of the API remembers, such as its calls; made at first use, forgotten by a reset."""
        known: Area | None = self._areas.get(kind)
        if known is None:
            known = self._areas[kind] = kind()
        return known

    def wa_id(self, digits: str) -> str:
        """What WhatsApp calls the person with this phone number."""
        return usual_wa_id(digits) if self.settings.rewrite_wa_ids else digits

    def phone(self, digits: str) -> Phone:
        """The phone with this number; every number has one."""
        phone = self.phones.get(digits)
        if phone is None:
            if len(self.phones) >= MAX_PHONES:
                del self.phones[next(iter(self.phones))]
            phone = self.phones[digits] = Phone(digits, f"Customer {digits[-4:]}")
        return phone

    def user_id(self, account: Account, digits: str) -> str:
        """The BSUID this business knows the person by."""
        key = (account.waba_id, digits)
        known = self.user_ids.get(key)
        if known is None:
            if len(self.user_ids) >= MAX_PHONES:
                self.people.pop(self.user_ids.pop(next(iter(self.user_ids))))
            known = self.user_ids[key] = user_id(account.waba_id, digits)
            self.people[known] = digits
        return known

    def keep(self, message: Message) -> None:
        """Show a message on its phone and remember it by its id."""
        if len(self.messages) >= MAX_MESSAGES:
            del self.messages[next(iter(self.messages))]
        self.messages[message.wamid] = message
        self.phone(message.digits).messages.append(message)
        self.counts.wamids += 1

    def window_is_open(self, number: Number, digits: str) -> bool:
        """Whether the business may write to this person without a template."""
        phone = self.phones.get(digits)
        return phone is not None and phone.windows.get(number.id, 0) > self.clock()

    def callback(self, number: Number) -> str | None:
        """Where webhooks about this number go: its own URL, else the account's, else the app's."""
        if not number.account.subscribed:
            return None
        return number.callback or number.account.callback or self.settings.webhook_url

    def account_callback(self, account: Account) -> str | None:
        """Where webhooks about the account itself go."""
        return (account.callback or self.settings.webhook_url) if account.subscribed else None

    def note_call(self, method: str, path: str) -> None:
        """Remember that Meta was asked this; a query is left out, for it may carry a token."""
        self.calls.append((self.calls[-1][0] + 1 if self.calls else 1, method, path))

    def refusal_for(self, digits: str | None) -> Refusal | None:
        """The first refusal that waits for a send like this one; taking it uses it up."""
        for refusal in self.refusals:
            if refusal.calls == "sends" and (refusal.to is None or refusal.to == digits):
                return refusal.taken_from(self.refusals)
        return None

    def graph_refusal(self, method: str, path: str) -> Refusal | None:
        """The first refusal that waits for a Graph call like this one, which is no send."""
        for refusal in self.refusals:
            fits = path.startswith(refusal.path) and refusal.method in ("", method)
            if refusal.calls == "graph" and fits:
                return refusal.taken_from(self.refusals)
        return None

    def add_number(self, account: Account, given: PhoneNumber) -> Number:
        """One more number of an account."""
        number = self.numbers[given.id] = Number(given, account)
        account.numbers = (*account.numbers, number)
        return number

    def guard(self, token: str) -> None:
        """Have this token looked at more closely than by its bytes alone."""
        self.bearers.pop(b"Bearer " + token.encode(), None)
