"""Plugins, accounts and numbers as values. No I/O."""

from dataclasses import dataclass, field
from typing import Any

from samvad.domain.webhooks.model import ECHO_FIELD, LONGEST_URL, TEMPLATE_FIELD, is_address
from samvad.jobs.queue import Job
from samvad.kit.errors import BadRequest, Forbidden

EVENTS = ("message", "status", "message_echo", "smb_message_echo", "deliveryStatus")


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """What a client may set about a plugin's webhooks (contract: exactly these six)."""

    pass_through_webhook_url: str | None = None
    enable_message_echoes_for_pass_through_webhook: bool = False
    enable_send_message_template_event_for_pass_through_webhook: bool = False
    enable_chakra_webhook: bool = False
    chakra_webhook_url: str | None = None
    which_chakra_webhook_events_to_send: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plugin:
    """Connected WABAs with their credentials, which stay sealed in here; at first, only a name for them."""

    id: str
    team_id: str
    name: str
    is_active: bool
    config: PluginConfig
    access_token_sealed: str = field(repr=False)
    created_at: int
    updated_at: int
    enabled_numbers: tuple[str, ...] = ()
    """The numbers that may be used; none named, all may."""
    client: dict[str, Any] | None = None
    token_invalid_at: int | None = None

    @property
    def is_connected(self) -> bool:
        return bool(self.access_token_sealed)

    def refuse_use_of(self, phone_number_id: str) -> None:
        """Raises Forbidden when nothing may be sent from this number now."""
        if not self.is_active:
            raise Forbidden(
                f'The plugin {self.id} is not active; PUT /plugin/{self.id} with {{"isActive": true}} lets it send.'
            )
        if self.enabled_numbers and phone_number_id not in self.enabled_numbers:
            raise Forbidden(
                f"Phone number {phone_number_id:.40} is not enabled; add it to enabledWhatsappPhoneNumbers "
                f"in the serverConfig of the plugin {self.id}."
            )


@dataclass(frozen=True, slots=True)
class Callback:
    """What ingress must know of a plugin to believe a webhook."""

    plugin_id: str
    team_id: str
    app_secrets: tuple[str, ...] = field(repr=False)
    """Several, where its WABAs were connected through several apps of Meta."""
    verify_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sender:
    """What a send must know of a business number."""

    phone_number_id: str
    plugin_id: str
    team_id: str
    waba_id: str
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """What to ask Meta with about a WABA and what belongs to it."""

    waba_id: str
    plugin_id: str
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Connection:
    """What one pastes to connect a number."""

    waba_id: str
    phone_number_id: str
    access_token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str | None = field(default=None, repr=False)
    plugin_name: str | None = None
    callback_url: str | None = None
    plugin_id: str | None = None
    """The plugin that must hold it; by default whichever has the number, or a new one."""
    client: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        missing = [
            what
            for what, value in (
                ("the WABA id", self.waba_id),
                ("the phone number id", self.phone_number_id),
                ("the access token", self.access_token),
                ("the app secret (without it no webhook could be trusted)", self.app_secret),
            )
            if not value.strip()
        ]
        if missing:
            raise BadRequest(*(f"To connect a number, {what} is needed." for what in missing))


def endpoints_of(config: dict[str, Any]) -> dict[str, tuple[str | None, list[str]]]:
    """Where a stored config sends webhooks: by format the URL and the events of ours it wants.

    The two formats are independent of each other, even where they have the same address.
    """
    it = config_from(config)
    extra = [
        event
        for event, wanted in (
            (ECHO_FIELD, it.enable_message_echoes_for_pass_through_webhook),
            (TEMPLATE_FIELD, it.enable_send_message_template_event_for_pass_through_webhook),
        )
        if wanted
    ]
    return {
        "meta": (it.pass_through_webhook_url, extra),
        "chakra": (
            it.chakra_webhook_url if it.enable_chakra_webhook else None,
            sorted(it.which_chakra_webhook_events_to_send),
        ),
    }


def changed_config(config: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The stored config after a partial update in the wire's words; names every problem at once."""
    problems = [problem for name, value in wanted.items() if (problem := _problem(name, value))]
    if problems:
        raise BadRequest(*problems)
    known = {name: wanted[name] for name in wanted if name in _FIELDS}
    return config | {name: value or None if name in URLS else value for name, value in known.items()}


URL_OF = {"meta": "passThroughWebhookUrl", "chakra": "chakraWebhookUrl"}
URLS = tuple(URL_OF.values())
_SWITCHES = (
    "enableMessageEchoesForPassThroughWebhook",
    "enableSendMessageTemplateEventForPassThroughWebhook",
    "enableChakraWebhook",
)
ENABLED = "enabledWhatsappPhoneNumbers"
MOST_ENABLED = 1_000
_FIELDS = (*URLS, *_SWITCHES, "whichChakraWebhookEventsToSend", ENABLED)


def _problem(name: str, value: Any) -> str | None:
    if name in URLS and value not in (None, ""):
        if not isinstance(value, str) or not is_address(value):
            return f"{name} must be an http(s) URL, or null to clear it; got {value!r:.80}."
        if len(value) > LONGEST_URL:
            return f"{name} is longer than {LONGEST_URL} characters."
    if name == ENABLED and value is not None:
        if not isinstance(value, list) or not all(isinstance(it, str) and it.isdigit() for it in value):
            return f"{name} must be a list of Meta's phone number ids, as strings; got {value!r:.80}."
        if len(value) > MOST_ENABLED:
            return f"{name} names more than {MOST_ENABLED} numbers."
    if name in _SWITCHES and not isinstance(value, bool):
        return f"{name} must be true or false; got {value!r:.80}."
    if name == "whichChakraWebhookEventsToSend":
        if not isinstance(value, list) or not all(isinstance(it, str) for it in value):
            return f"{name} must be a list of event names; got {value!r:.80}."
        unknown = [it for it in value if it not in EVENTS]
        if unknown:
            return f"{name}: no event is named {unknown[0]!r:.40}; there are {', '.join(EVENTS)}."
    return None


def templates_job(team_id: str, waba_id: str, *, at: int) -> Job:
    """The promise to read an account's templates from Meta; the feature above this one keeps it."""
    lane = f"templates/{team_id}/{waba_id}"
    return Job(team_id, "templates.sync", {"waba_id": waba_id, "since": at}, lane=lane)


def refresh_job(team_id: str, waba_id: str, *, at: int) -> Job:
    """The promise to read an account and its numbers from Meta again."""
    args = {"wabaId": waba_id, "since": at}
    return Job(team_id, "waba.refresh", args, lane=f"waba.refresh/{team_id}/{waba_id}")


def config_from(stored: dict[str, Any]) -> PluginConfig:
    return PluginConfig(
        stored.get("passThroughWebhookUrl"),
        stored.get("enableMessageEchoesForPassThroughWebhook", False),
        stored.get("enableSendMessageTemplateEventForPassThroughWebhook", False),
        stored.get("enableChakraWebhook", False),
        stored.get("chakraWebhookUrl"),
        tuple(stored.get("whichChakraWebhookEventsToSend", ())),
    )
