"""The business profile of a number, as its customers see it."""

from dataclasses import dataclass, field

from samvad.sandbox import checks
from samvad.sandbox.errors import GraphError, parameter
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call, NumberCalls, must_be_whatsapp
from samvad.sandbox.world import Number

LIMITS = {"about": 139, "address": 256, "description": 512, "email": 128}
MAX_WEBSITES, MAX_WEBSITE = 2, 256
VERTICALS = (
    "OTHER",
    "AUTO",
    "BEAUTY",
    "APPAREL",
    "EDU",
    "ENTERTAIN",
    "EVENT_PLAN",
    "FINANCE",
    "GROCERY",
    "GOVT",
    "HOTEL",
    "HEALTH",
    "NONPROFIT",
    "PROF_SERVICES",
    "RETAIL",
    "TRAVEL",
    "RESTAURANT",
    "ALCOHOL",
    "ONLINE_GAMBLING",
    "PHYSICAL_GAMBLING",
    "OTC_DRUGS",
    "MATRIMONY_SERVICE",
)
FIELDS = (*LIMITS, "profile_picture_url", "websites", "vertical")
PICTURE_URL = "https://pps.whatsapp.net/v/{}"


@dataclass
class Profiles:
    """What was set, by phone number id."""

    by_number: dict[str, Json] = field(default_factory=dict)


async def read_profile(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/whatsapp_business_profile; a field without a value is left out."""
    known = call.world.area(Profiles).by_number.get(number.id, {})
    names = [name.strip() for name in (call.query.get("fields") or "about").split(",") if name.strip()]
    for name in names:
        if name not in (*FIELDS, "messaging_product", "id"):
            raise GraphError(
                100,
                message=f"(#100) Tried accessing nonexisting field ({name}) on node type (WhatsAppBusinessProfile)",
            )
    shown = {name: known[name] for name in names if name in known}
    return {"data": [{**shown, "messaging_product": "whatsapp"}]}


async def change_profile(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/whatsapp_business_profile: only what is given changes, "" clears it."""
    given = await call.parameters()
    must_be_whatsapp(given)
    known = (*LIMITS, "websites", "vertical", "profile_picture_handle", "messaging_product")
    checks.members(given, "whatsapp_business_profile", known)
    changed: Json = {}
    for name, most in LIMITS.items():
        if name in given:
            # Meta lets everything be emptied but the about text, which every profile has.
            changed[name] = checks.text(given[name], name, most, empty=name != "about")
    if changed.get("email") and "@" not in changed["email"]:
        raise parameter("email", "must be a valid email address.")
    if "websites" in given:
        changed["websites"] = [
            _website(site, f"websites[{at}]")
            for at, site in enumerate(checks.items(given["websites"], "websites", 0, MAX_WEBSITES))
        ]
    if "vertical" in given:
        if given["vertical"] not in ("", *VERTICALS):
            raise parameter("vertical", f"must be one of {{{', '.join(VERTICALS)}}}.")
        changed["vertical"] = given["vertical"]
    if "profile_picture_handle" in given:
        handle = checks.text(given["profile_picture_handle"], "profile_picture_handle", 4_096)
        changed["profile_picture_url"] = PICTURE_URL.format(handle[-24:].replace(":", "_"))
    profile = call.world.area(Profiles).by_number.setdefault(number.id, {})
    profile.update(changed)
    for name in [name for name, value in profile.items() if value in ("", [])]:
        del profile[name]
    return {"success": True}


NUMBER_CALLS: NumberCalls = {
    ("GET", "whatsapp_business_profile"): read_profile,
    ("POST", "whatsapp_business_profile"): change_profile,
}


def _website(site: object, path: str) -> str:
    address = checks.text(site, path, MAX_WEBSITE)
    return checks.link(address if "://" in address else f"https://{address}", path)
