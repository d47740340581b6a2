"""Access tokens that are no longer, or not wholly, what they were; and what Graph tells about a token."""

import time
from dataclasses import dataclass, field

from samvad.sandbox.errors import GraphError, parameter_is_required
from samvad.sandbox.identity import stable_id
from samvad.sandbox.model import Json
from samvad.sandbox.world import Accounts, World

MESSAGING, MANAGEMENT = "whatsapp_business_messaging", "whatsapp_business_management"
SCOPES = (MANAGEMENT, MESSAGING, "public_profile")
EXPIRED, INVALID = 463, 467  # subcodes of 190


@dataclass(slots=True)
class Token:
    """What is not as usual about a token; `expires_at` 0 is never."""

    scopes: tuple[str, ...] = SCOPES
    expires_at: int = 0
    revoked: bool = False


@dataclass
class Tokens:
    """The tokens that were changed."""

    changed: dict[str, Token] = field(default_factory=dict)


def change(world: World, token: str, known: Token) -> None:
    """Have a token expire, be revoked, or lose some of its scopes."""
    world.area(Tokens).changed[token] = known
    world.guard(token)


def check(world: World, token: str, needed: str | None) -> None:
    """Refuse a token that expired, was revoked or lacks what the call needs."""
    known = world.area(Tokens).changed.get(token)
    if known is None:
        return
    if (trouble := _trouble(world, known)) is not None:
        raise trouble
    if needed == MESSAGING and MESSAGING not in known.scopes:
        raise GraphError(10, message="(#10) Application does not have permission for this action")
    if needed == MANAGEMENT and MANAGEMENT not in known.scopes:
        raise GraphError(200, message="(#200) You do not have the necessary permissions required to do this.")


def scope_for(path: str) -> str | None:
    """The permission a Graph call needs, where one token may have it and another may not."""
    node, _, edge = path.partition("/")
    if edge == "media":
        return MESSAGING
    return MANAGEMENT if edge and node.isdecimal() else None


def debugged(world: World, token: str) -> Json:
    """GET /debug_token?input_token=."""
    if not token:
        raise parameter_is_required("input_token")
    accounts = world.tokens.get(token)
    known = world.area(Tokens).changed.get(token, Token())
    trouble = _trouble(world, known)
    if accounts is None:
        error: Json = {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}
        return {"data": {"error": error, "is_valid": False, "scopes": []}}
    data: Json = {
        "app_id": accounts[0].app_id,
        "type": "SYSTEM_USER",
        "application": f"{accounts[0].business.name} app",
        "data_access_expires_at": 0,
        "expires_at": known.expires_at,
        "is_valid": trouble is None,
        "scopes": list(known.scopes),
        "granular_scopes": [
            {"scope": scope, "target_ids": [account.waba_id for account in accounts]}
            for scope in known.scopes
            if scope in (MESSAGING, MANAGEMENT)
        ],
        "user_id": stable_id("user", token),
    }
    if trouble is not None:
        data["error"] = {"code": 190, "message": str(trouble), "subcode": trouble.subcode}
    return {"data": data}


def me(accounts: Accounts) -> Json:
    """GET /me: the system user behind the token."""
    return {
        "name": f"{accounts[0].business.name} system user",
        "id": stable_id("user", accounts[0].business.access_token),
    }


def app(app_id: str, accounts: Accounts) -> Json | None:
    """GET /{app-id}."""
    for account in accounts:
        if account.app_id == app_id:
            link = f"https://www.facebook.com/games/?app_id={app_id}"
            return {
                "category": "Business",
                "link": link,
                "name": f"{account.business.name} app",
                "id": app_id,
            }
    return None


def _trouble(world: World, token: Token) -> GraphError | None:
    if token.revoked:
        words = "Error validating access token: The session has been invalidated."
        return GraphError(190, message=words, subcode=INVALID)
    if token.expires_at and token.expires_at <= world.clock():
        when = time.strftime("%A, %d-%b-%y %H:%M:%S UTC", time.gmtime(token.expires_at))
        words = f"Error validating access token: Session has expired on {when}."
        return GraphError(190, message=words, subcode=EXPIRED)
    return None
