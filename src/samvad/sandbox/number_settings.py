"""GET and POST /{phone-number-id}/settings: calling, identity checks, encryption, storage."""

import copy
import re
from dataclasses import dataclass, field
from typing import Any

from samvad.sandbox import checks
from samvad.sandbox.errors import GraphError, parameter, parameter_is_required
from samvad.sandbox.identity import stable_id
from samvad.sandbox.model import Json
from samvad.sandbox.news import tell_of_account
from samvad.sandbox.nodes import Call, NumberCalls
from samvad.sandbox.world import Number, World

FEATURES = ("calling", "user_identity_change", "payload_encryption", "storage_configuration")
SWITCH = ("ENABLED", "DISABLED")
CALLING = (
    "status",
    "call_icon_visibility",
    "call_icons",
    "callback_permission_status",
    "call_hours",
    "ip_addresses",
    "sip",
    "srtp_key_exchange_protocol",
    "video",
    "audio",
    "restrictions",
)
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
MAX_HOLIDAYS = 20
_CLOCK = re.compile(r"([01]\d|2[0-3])[0-5]\d")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")

DEFAULTS: Json = {
    "calling": {
        "status": "DISABLED",
        "call_icon_visibility": "DEFAULT",
        "callback_permission_status": "DISABLED",
    },
    "storage_configuration": {"status": "DEFAULT"},
    "payload_encryption": {"status": "DISABLED"},
}


@dataclass
class NumberSettings:
    """The settings by phone number id."""

    by_number: dict[str, Json] = field(default_factory=dict)

    def of(self, number: Number) -> Json:
        return self.by_number.setdefault(number.id, copy.deepcopy(DEFAULTS))


def calling_of(world: World, number: Number) -> Json:
    """The calling settings of a number."""
    calling: Json = world.area(NumberSettings).of(number)["calling"]
    return calling


async def read_settings(call: Call, number: Number) -> Json:
    """GET: everything; passwords of SIP servers only for who asks for them."""
    shown = copy.deepcopy(call.world.area(NumberSettings).of(number))
    if call.query.get("include_sip_credentials", "").lower() != "true":
        for server in shown["calling"].get("sip", {}).get("servers", ()):
            server.pop("sip_user_password", None)
    return shown


async def change_settings(call: Call, number: Number) -> Json:
    """POST: what is given replaces its namesake; a change of calling is told by webhook."""
    given = await call.parameters()
    features = checks.members(given, "settings", ("messaging_product", *FEATURES))
    if not any(feature in features for feature in FEATURES):
        raise GraphError(100, message="(#100) One feature setting must be specified")
    for feature in FEATURES:
        if feature in features:
            _CHECKS[feature](features[feature])
    world = call.world
    settings = world.area(NumberSettings).of(number)
    if (calling := features.get("calling")) is not None:
        settings["calling"] = {**settings["calling"], **_with_passwords(number, calling)}
        _tell(world, number, settings["calling"])
    if (identity := features.get("user_identity_change")) is not None:
        settings["user_identity_change"] = identity
    if (encryption := features.get("payload_encryption")) is not None:
        settings["payload_encryption"] = {"status": encryption["status"].upper()}
    if (storage := features.get("storage_configuration")) is not None:
        settings["storage_configuration"] = {**settings["storage_configuration"], **storage}
    return {"success": True}


NUMBER_CALLS: NumberCalls = {("GET", "settings"): read_settings, ("POST", "settings"): change_settings}


def _tell(world: World, number: Number, calling: Json) -> None:
    shown = {key: value for key, value in calling.items() if key != "sip"}
    value = {
        "messaging_product": "whatsapp",
        "timestamp": str(int(world.clock())),
        "type": "PHONE_NUMBER_SETTINGS",
        "phone_number_settings": {"phone_number_id": number.id, "calling": shown},
    }
    tell_of_account(world, number.account, "account_settings_update", value)


def _with_passwords(number: Number, calling: Json) -> Json:
    """Switches in Meta's capitals, and for every SIP server the password Meta invents."""
    whole = copy.deepcopy(calling)
    for name in ("status", "call_icon_visibility", "callback_permission_status"):
        if name in whole:
            whole[name] = whole[name].upper()
    for server in whole.get("sip", {}).get("servers", ()):
        server["sip_user_password"] = stable_id("sip", number.id, str(server.get("hostname")))
    return whole


def _one_of(value: Any, path: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value.upper() not in allowed:
        raise parameter(path, f"must be one of {{{', '.join(allowed)}}}.")


def _calling(value: Any) -> None:
    calling = checks.members(value, "calling", CALLING)
    if not calling:
        raise parameter("calling", "must not be empty.")
    for name, allowed in (
        ("status", SWITCH),
        ("callback_permission_status", SWITCH),
        ("call_icon_visibility", ("DEFAULT", "DISABLE_ALL", "DISABLE ALL")),
        ("srtp_key_exchange_protocol", ("DTLS", "SDES")),
    ):
        if calling.get(name) is not None:
            _one_of(calling[name], f"calling['{name}']", allowed)
    if calling.get("call_hours") is not None:
        _call_hours(calling["call_hours"])
    if calling.get("sip") is not None:
        _sip(calling["sip"])
    for name in ("video", "audio", "call_icons", "ip_addresses", "restrictions"):
        if calling.get(name) is not None and not isinstance(calling[name], dict):
            raise parameter(f"calling['{name}']", "must be a JSON object.")


def _sip(value: Any) -> None:
    sip = checks.members(value, "calling['sip']", ("status", "servers"), ("status",))
    _one_of(sip["status"], "calling['sip']['status']", SWITCH)
    if sip.get("servers") is not None:
        for at, server in enumerate(checks.items(sip["servers"], "servers", 0, 1)):
            path = f"calling['sip']['servers'][{at}]"
            checks.members(server, path, ("hostname", "port", "request_uri_user_params"), ("hostname",))


def _call_hours(value: Any) -> None:
    path = "calling['call_hours']"
    known = ("status", "timezone_id", "weekly_operating_hours", "holiday_schedule")
    hours = checks.members(value, path, known, ("status",))
    _one_of(hours["status"], f"{path}['status']", SWITCH)
    if hours["status"].upper() == "ENABLED":
        for name in ("timezone_id", "weekly_operating_hours"):
            if not hours.get(name):
                raise parameter_is_required(f"{path}['{name}']")
    for at, day in enumerate(hours.get("weekly_operating_hours") or ()):
        here = f"{path}['weekly_operating_hours'][{at}]"
        members = ("day_of_week", "open_time", "close_time")
        checks.members(day, here, members, members)
        _one_of(day["day_of_week"], f"{here}['day_of_week']", DAYS)
        _opens(day["open_time"], day["close_time"], here)
    for at, day in enumerate(checks.items(hours.get("holiday_schedule") or [], "holidays", 0, MAX_HOLIDAYS)):
        here = f"{path}['holiday_schedule'][{at}]"
        checks.members(day, here, ("date", "start_time", "end_time"), ("date", "start_time", "end_time"))
        if not _DATE.fullmatch(str(day["date"])):
            raise parameter(f"{here}['date']", "must be in the format YYYY-MM-DD.")
        _opens(day["start_time"], day["end_time"], here)


def _opens(start: Any, end: Any, path: str) -> None:
    if not (_CLOCK.fullmatch(str(start)) and _CLOCK.fullmatch(str(end)) and str(start) < str(end)):
        raise parameter(path, "must open before it closes, both as HHMM.")


def _identity(value: Any) -> None:
    path = "user_identity_change"
    checks.members(value, path, ("enable_identity_key_check",), ("enable_identity_key_check",))
    if not isinstance(value["enable_identity_key_check"], bool):
        raise parameter(f"{path}['enable_identity_key_check']", "must be a boolean.")


def _encryption(value: Any) -> None:
    path = "payload_encryption"
    checks.members(value, path, ("status", "client_encryption_key"), ("status",))
    _one_of(value["status"], f"{path}['status']", SWITCH)
    if value["status"].upper() == "ENABLED" and not value.get("client_encryption_key"):
        raise parameter_is_required(f"{path}['client_encryption_key']")


def _storage(value: Any) -> None:
    path = "storage_configuration"
    known = ("status", "data_localization_region", "retention_minutes")
    checks.members(value, path, known, ("status",))
    allowed = ("DEFAULT", "IN_COUNTRY_STORAGE_ENABLED", "IN_COUNTRY_STORAGE_DISABLED")
    _one_of(value["status"], f"{path}['status']", (*allowed, "NO_STORAGE_ENABLED", "NO_STORAGE_DISABLED"))


_CHECKS = {
    "calling": _calling,
    "user_identity_change": _identity,
    "payload_encryption": _encryption,
    "storage_configuration": _storage,
}
