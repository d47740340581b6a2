"""The buttons of a template: which there are, how many, how long, in which order."""

import re
from typing import Any

from samvad.sandbox import checks
from samvad.sandbox.errors import GraphError, invalid, parameter
from samvad.sandbox.model import Json

MAX_BUTTONS, MAX_LABEL, MAX_URL, MAX_PHONE, MAX_COUPON = 10, 25, 2_000, 20, 20
AT_MOST = {
    "QUICK_REPLY": 10,
    "URL": 2,
    "PHONE_NUMBER": 1,
    "COPY_CODE": 1,
    "FLOW": 1,
    "CATALOG": 1,
    "MPM": 1,
    "SPM": 1,
    "VOICE_CALL": 1,
    "REQUEST_CONTACT_INFO": 1,
    "CALL_PERMISSION_REQUEST": 1,
    "ORDER_DETAILS": 1,
    "APP": 1,
}
MEMBERS: dict[str, tuple[str, ...]] = {
    "URL": ("url", "example", "app_deep_link"),
    "PHONE_NUMBER": ("phone_number",),
    "COPY_CODE": ("example",),
    "FLOW": (
        "flow_id",
        "flow_name",
        "flow_json",
        "flow_action",
        "navigate_screen",
        "icon",
    ),
    "VOICE_CALL": ("ttl_minutes",),
}
WITHOUT_LABEL = ("COPY_CODE", "REQUEST_CONTACT_INFO", "CALL_PERMISSION_REQUEST")
LABELS = {"COPY_CODE": "Copy offer code"}
OTP_TYPES = ("COPY_CODE", "ONE_TAP", "ZERO_TAP")
OTP_MEMBERS = (
    "type",
    "otp_type",
    "text",
    "autofill_text",
    "supported_apps",
    "package_name",
    "signature_hash",
    "zero_tap_terms_accepted",
)

_LINK = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+", re.IGNORECASE)
_SIGNATURE_HASH = re.compile(r"[A-Za-z0-9+/=]{11}")


def read(component: Json, path: str, category: str, limit: int = MAX_BUTTONS) -> Json:
    """The buttons component of a marketing or utility template, or of one card."""
    checks.members(component, f"{path} BUTTONS", ("type", "buttons"), ("buttons",))
    given = component["buttons"]
    if not isinstance(given, list) or not 1 <= len(given) <= limit:
        raise invalid("Invalid number of buttons", f"There are from 1 to {limit} buttons.")
    buttons = [_button(button, f"{path}['buttons'][{at}]", category) for at, button in enumerate(given)]
    kinds = [button["type"] for button in buttons]
    for kind in kinds:
        if kinds.count(kind) > AT_MOST[kind]:
            raise invalid("Invalid number of buttons", f"There are at most {AT_MOST[kind]} of type {kind}.")
    runs = [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] != kind]
    if runs.count("QUICK_REPLY") > 1:
        raise invalid(
            "Invalid combination of buttons",
            "Quick reply buttons stand together, before or after the others.",
        )
    return {"type": "BUTTONS", "buttons": buttons}


def check_offer(component: Json | None) -> None:
    """A limited-time offer has a URL button, and a copy-code button before it."""
    kinds = [str(one.get("type")).upper() for one in (component or {}).get("buttons", ())]
    if kinds not in (["URL"], ["COPY_CODE", "URL"]):
        raise invalid(
            "Invalid limited-time offer", "An offer has a URL button, after a copy-code button if any."
        )


def read_password_button(component: Json | None, path: str) -> Json:
    """The one OTP button of an authentication template, as Graph lists it: a URL that holds the code."""
    given = (component or {}).get("buttons")
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], dict):
        raise invalid("Invalid number of buttons", "An authentication template has exactly one OTP button.")
    here = f"{path}['buttons'][0]"
    button = checks.members(given[0], here, OTP_MEMBERS, ("type", "otp_type"))
    kind = str(button["otp_type"]).upper()
    if str(button["type"]).upper() != "OTP" or kind not in OTP_TYPES:
        raise parameter(f"{here}['otp_type']", f"must be one of {{{', '.join(OTP_TYPES)}}}.")
    label = _label(button.get("text") or "Copy code", here)
    url = f"https://www.whatsapp.com/otp/code/?otp_type={kind}"
    if kind != "COPY_CODE":
        autofill = _label(button.get("autofill_text") or "Autofill", here).replace(" ", "+")
        url += f"&cta_display_name={autofill}" + "".join(_apps(button, here))
    if kind == "ZERO_TAP" and button.get("zero_tap_terms_accepted") is not True:
        raise parameter(f"{here}['zero_tap_terms_accepted']", "must be true for a zero-tap button.")
    url += "&code=otp{{1}}"
    listed = {"type": "URL", "text": label, "url": url, "example": [url.replace("{{1}}", "123456")]}
    return {"type": "BUTTONS", "buttons": [listed]}


def _apps(button: Json, path: str) -> list[str]:
    apps = button.get("supported_apps")
    if apps is None and button.get("package_name"):  # the older form, with one app
        apps = [{"package_name": button["package_name"], "signature_hash": button.get("signature_hash")}]
    told = []
    for app in checks.items(apps, f"{path}['supported_apps']", 1, 5):
        checks.members(
            app, f"{path}['supported_apps']", ("package_name", "signature_hash"), ("package_name",)
        )
        if not _SIGNATURE_HASH.fullmatch(str(app.get("signature_hash"))):
            raise parameter(f"{path}['signature_hash']", "must be 11 characters of base64.")
        told.append(f"&package_name={app['package_name']}&signature_hash={app['signature_hash']}")
    return told


def _button(given: Any, path: str, category: str) -> Json:
    if not isinstance(given, dict):
        raise parameter(path, "must be a JSON object.")
    kind = str(given.get("type", "")).upper()
    if kind not in AT_MOST:
        otp = " OTP buttons are for authentication templates." if kind == "OTP" else ""
        raise parameter(f"{path}['type']", f"must be one of {{{', '.join(AT_MOST)}}}.{otp}")
    checks.members(given, path, ("type", "text", *MEMBERS.get(kind, ())))
    read: Json = {"type": kind}
    if kind in WITHOUT_LABEL:
        if kind in LABELS:
            read["text"] = LABELS[kind]
    else:
        read["text"] = _label(given.get("text"), path)
    match kind:
        case "URL":
            read |= _url(given, path)
        case "PHONE_NUMBER":
            read["phone_number"] = _bounded(given.get("phone_number"), MAX_PHONE, "phone_number")
        case "COPY_CODE":
            example = given.get("example")
            value = example[0] if isinstance(example, list) and example else example
            read["example"] = [_bounded(value, MAX_COUPON, "example")]
        case "FLOW":
            if sum(given.get(one) is not None for one in ("flow_id", "flow_name", "flow_json")) != 1:
                raise parameter(path, "must have one of flow_id, flow_name and flow_json.")
            read |= {key: value for key, value in given.items() if key != "type"}
        case _:
            read |= {key: given[key] for key in MEMBERS.get(kind, ()) if key in given}
    return read


def _url(given: Json, path: str) -> Json:
    url = _bounded(given.get("url"), MAX_URL, "url")
    if not _LINK.fullmatch(url):
        raise parameter(f"{path}['url']", "is not a valid URI.")
    read: Json = {"url": url}
    if "app_deep_link" in given:
        read["app_deep_link"] = given["app_deep_link"]
    if "{{" not in url:
        return read
    if url.count("{{") != 1 or not url.endswith("}}"):
        raise invalid("Invalid URL button", "The URL of a button has at most one variable, at its end.")
    example = given.get("example")
    if isinstance(example, str):
        example = [example]
    if not isinstance(example, list) or not example or not isinstance(example[0], str) or not example[0]:
        raise _missing("example")
    return read | {"example": example[:1]}


def _label(value: Any, path: str) -> str:
    label = _bounded(value, MAX_LABEL, "text")
    if "{{" in label or "\n" in label:
        raise invalid("Invalid button text", "The text of a button has no variables and no line breaks.")
    return label


def _bounded(value: Any, limit: int, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _missing(field)
    if len(value) > limit:
        raise invalid(
            "Character limit exceeded",
            f"The {field} of a button has {len(value)} characters, and {limit} are allowed.",
            2388040,
        )
    return value


def _missing(field: str) -> GraphError:
    return invalid(
        'Message template "components" param is missing expected field(s)',
        f"component of type BUTTONS is missing expected field(s) ({field})",
        2388043,
    )
