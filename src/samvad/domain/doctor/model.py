"""What a finding is, and what Meta's answers mean for the health of a connected number. No I/O."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Check = Literal["token", "scopes", "subscription", "callback", "signature", "clock", "number", "disk"]
State = Literal["fine", "fault", "skipped"]
Json = Mapping[str, Any]

CHECKS: tuple[Check, ...] = (
    "token",
    "scopes",
    "subscription",
    "callback",
    "signature",
    "clock",
    "number",
    "disk",
)
SCOPES = ("whatsapp_business_messaging", "whatsapp_business_management")
SOON_MS = (
    7 * 24 * 60 * 60 * 1000
)  # a token that ends within the week is a fault while there is time to mend it
FARTHEST_CLOCK_MS = 30_000  # Meta's own signatures and session windows are judged by the second
META = "https://business.facebook.com/wa/manage/"
TOKENS = "https://business.facebook.com/settings/system-users"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was looked at, how it is, and what mends it."""

    check: Check
    state: State
    words: str
    fix: str | None = None
    """A command or a place to go; given with every fault."""
    plugin_id: str | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """A plugin with its secrets opened; or one WABA of it, where that was connected with secrets of its own."""

    plugin_id: str
    team_id: str
    name: str
    waba_ids: Sequence[str]
    phone_number_ids: Sequence[str]
    address: str
    """Where Meta should deliver, by our settings."""
    access_token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    of: str = ""
    """Whom its findings are about, where the plugin holds WABAs with other credentials too."""

    @property
    def reconnect(self) -> str:
        """The command that renews token, secret and subscription; it asks for the two secrets."""
        words = ["samvad", "connect", "--team", self.team_id]
        for option, ids in (("--waba-id", self.waba_ids), ("--phone-number-id", self.phone_number_ids)):
            words += [option, ids[0]] if ids else []
        return shlex.join(words)


def fine(check: Check, words: str) -> Finding:
    return Finding(check, "fine", words)


def fault(check: Check, words: str, fix: str) -> Finding:
    return Finding(check, "fault", words, fix)


def skipped(check: Check, why: str) -> Finding:
    return Finding(check, "skipped", why)


def token(patient: Patient, facts: Json, *, now: int) -> Finding:
    """What `debug_token` says of the token itself; `expires_at` is in seconds, 0 for never."""
    fix = f"{patient.reconnect}    # with a new token from {TOKENS}"
    if facts.get("is_valid") is not True:
        error = facts.get("error")
        why = error.get("message") if isinstance(error, dict) else None
        return fault("token", f"Meta no longer accepts the access token: {why or 'no reason given'}", fix)
    expires_at = facts.get("expires_at")
    if isinstance(expires_at, int) and expires_at > 0:
        on = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        if expires_at * 1000 <= now:
            return fault("token", f"the access token expired on {on}", fix)
        if expires_at * 1000 <= now + SOON_MS:
            words = f"the access token expires on {on}; one of a system user need not expire"
            return fault("token", words, fix)
        return fine("token", f"valid until {on}")
    return fine("token", "valid, and does not expire")


def scopes(patient: Patient, facts: Json) -> Finding:
    """Whether the token may do what we do, and for this account."""
    fix = f"{patient.reconnect}    # with a token that has {' and '.join(SCOPES)}, from {TOKENS}"
    granted = facts.get("scopes")
    if not isinstance(granted, list):
        return skipped("scopes", "Meta did not tell what this token may do")
    missing = [it for it in SCOPES if it not in granted]
    if missing:
        return fault("scopes", f"the token may not do everything: {' and '.join(missing)} is missing", fix)
    narrow = [
        it
        for it in facts.get("granular_scopes") or ()
        if isinstance(it, dict) and it.get("scope") in SCOPES and it.get("target_ids")
    ]
    for it in narrow:
        outside = [waba for waba in patient.waba_ids if waba not in map(str, it["target_ids"])]
        if outside:
            words = f"{it['scope']} was granted for other accounts, and not for WABA {outside[0]}"
            return fault("scopes", words, fix)
    return fine("scopes", "messaging and management")


def subscription(
    patient: Patient, waba_id: str, apps: Sequence[Json], numbers: Collection[Json], app_id: str | None
) -> tuple[Finding, str | None]:
    """Whether Meta delivers this account's webhooks to us; and the address it delivers to, if to one of ours."""
    ours = f"/webhooks/whatsapp/{patient.plugin_id}"
    mine = [it for it in apps if app_id is None or _app_id(it) == app_id]
    if not mine:
        others = f" ({len(apps)} other apps are)" if apps else ""
        words = f"WABA {waba_id} is not subscribed to our app{others}: Meta delivers nothing"
        return fault("subscription", words, patient.reconnect), None
    override = next((url for it in mine if isinstance(url := it.get("override_callback_uri"), str)), None)
    if override is not None and not override.endswith(ours):
        words = f"WABA {waba_id} delivers to {override:.200}, and not to {patient.address}"
        return fault("subscription", words, patient.reconnect), None
    for number in numbers:
        at = _effective(number) or override
        if at is None:
            words = f"no callback address is set for number {number.get('id')}: Meta delivers nothing"
            return fault("subscription", words, patient.reconnect), None
        if not at.endswith(ours):
            words = f"number {number.get('id')} delivers to {at:.200}, and not to {patient.address}"
            return fault("subscription", words, patient.reconnect), None
    where = override or next((_effective(it) for it in numbers), None)
    return fine("subscription", f"WABA {waba_id} delivers to {where or patient.address}"), where


def number(it: Json) -> Finding:
    """What Meta says of a number: whether it may send, and how well it is liked."""
    name = f"{it.get('display_phone_number') or it.get('id')} ({it.get('id')})"
    fix = f"open {META} and see what Meta asks for"
    problems = health(it)
    status = it.get("status")
    if status not in (None, "CONNECTED"):
        problems.insert(0, f"status {status}")
    if it.get("quality_rating") == "RED":
        problems.append("quality RED: people block or report it")
    if it.get("name_status") in ("DECLINED", "EXPIRED", "NONE"):
        problems.append(f"its display name is {it['name_status']}")
    if problems:
        return fault("number", f"{name}: {'; '.join(problems)}", fix)
    tier = it.get("whatsapp_business_manager_messaging_limit") or "not told"
    quality = it.get("quality_rating") or "not told"
    return fine("number", f"{name}: {status or 'no status told'}, quality {quality}, limit {tier}")


def account(it: Json) -> Finding | None:
    """What Meta says of the account, where it says anything bad."""
    problems = health(it)
    if it.get("account_review_status") == "REJECTED":
        problems.append("Meta's review rejected it")
    if not problems:
        return None
    words = f"WABA {it.get('id')}: {'; '.join(problems)}"
    return fault("number", words, f"open {META} and see what Meta asks for")


def health(it: Json) -> list[str]:
    """The entities of `health_status` that are BLOCKED or LIMITED, in Meta's words."""
    status = it.get("health_status")
    if not isinstance(status, dict):
        return []
    found = []
    for entity in status.get("entities") or ():
        if not isinstance(entity, dict) or entity.get("can_send_message") not in ("BLOCKED", "LIMITED"):
            continue
        said = [
            text
            for error in entity.get("errors") or ()
            if isinstance(error, dict)
            for text in (error.get("error_description"), error.get("possible_solution"))
            if text
        ]
        said += [str(text) for text in entity.get("additional_info") or ()]
        what = f"sending is {entity['can_send_message']} by its {entity.get('entity_type', 'health')}"
        found.append(f"{what}: {' '.join(said)}" if said else what)
    overall = status.get("can_send_message")
    return found or ([f"sending is {overall}"] if overall in ("BLOCKED", "LIMITED") else [])


def clock(what: str, theirs: int | None, ours: int) -> Finding:
    """Our clock beside another; both in milliseconds."""
    if theirs is None:
        return skipped("clock", f"{what} told no time")
    off = ours - theirs
    if abs(off) > FARTHEST_CLOCK_MS:
        ahead = "ahead of" if off > 0 else "behind"
        words = f"this machine's clock is {abs(off) // 1000} s {ahead} {what}"
        return fault("clock", words, "timedatectl set-ntp true    # or what keeps time on your system")
    return fine("clock", f"within {max(1, -(-abs(off) // 1000))} s of {what}")


def _app_id(app: Json) -> str | None:
    data = app.get("whatsapp_business_api_data")
    found = data.get("id") if isinstance(data, dict) else None
    return None if found is None else str(found)


def _effective(number: Json) -> str | None:
    """Where a number's webhooks go: its own override wins over the account's, that over the app's."""
    at = number.get("webhook_configuration")
    if not isinstance(at, dict):
        return None
    return at.get("phone_number") or at.get("whatsapp_business_account") or at.get("application")
