"""Where webhooks go: subscribed apps of an account, and the override of a single number."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp

from samvad.sandbox.errors import GraphError, parameter_is_required, unexpected_key
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call
from samvad.sandbox.world import Account, Number, World

MAX_URL = 200
HANDSHAKE_TIMEOUT_S = 10
MAX_CHALLENGE = 64


async def list_apps(call: Call, account: Account) -> Json:
    """GET /{waba}/subscribed_apps."""
    if not account.subscribed:
        return {"data": []}
    app: Json = {
        "whatsapp_business_api_data": {
            "link": f"https://www.facebook.com/games/?app_id={account.app_id}",
            "name": f"{account.business.name} app",
            "id": account.app_id,
        }
    }
    if account.callback:
        app["override_callback_uri"] = account.callback
    return {"data": [app]}


async def subscribe(call: Call, account: Account) -> Json:
    """POST /{waba}/subscribed_apps: to an override URL after its handshake, else to the app's URL."""
    given = await call.parameters()
    url = given.get("override_callback_uri")
    if url:
        await _shake_hands(call.world, url, given.get("verify_token"))
    account.callback = url or None
    account.subscribed = True
    return {"success": True}


async def unsubscribe(call: Call, account: Account) -> Json:
    """DELETE /{waba}/subscribed_apps."""
    account.subscribed = False
    account.callback = None
    return {"success": True}


async def configure_number(call: Call, number: Number, given: Json) -> Json:
    """POST /{phone-number-id}: the webhook override of this number, which wins over the account's."""
    if "webhook_configuration" not in given:
        raise parameter_is_required("webhook_configuration")
    wanted = given["webhook_configuration"]
    if not isinstance(wanted, dict):
        raise GraphError(100, message="(#100) Param webhook_configuration must be a JSON object.")
    for key in wanted:
        if key not in ("override_callback_uri", "verify_token"):
            raise unexpected_key(key, "webhook_configuration")
    url = wanted.get("override_callback_uri")
    if url:
        await _shake_hands(call.world, url, wanted.get("verify_token"))
    number.callback = url or None
    return {"success": True}


ACCOUNT_CALLS: dict[tuple[str, str], Callable[[Call, Account], Awaitable[Json]]] = {
    ("GET", "subscribed_apps"): list_apps,
    ("POST", "subscribed_apps"): subscribe,
    ("DELETE", "subscribed_apps"): unsubscribe,
}


async def _shake_hands(world: World, url: Any, verify_token: Any) -> None:
    """Ask the URL to echo a challenge, which proves that its owner knows the verify token."""
    if not isinstance(url, str) or not url.startswith(("https://", "http://")) or len(url) > MAX_URL:
        raise GraphError(100, message="(#100) Param override_callback_uri is not a valid URI.")
    if not isinstance(verify_token, str) or not verify_token:
        raise parameter_is_required("verify_token")
    challenge = str(world.chance.randrange(10**9, 10**10))
    query = urlencode({"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token})
    timeout = aiohttp.ClientTimeout(total=HANDSHAKE_TIMEOUT_S)
    try:
        async with world.deliveries.session.get(
            f"{url}{'&' if '?' in url else '?'}{query}", timeout=timeout, allow_redirects=False
        ) as answer:
            status, reason = answer.status, answer.reason
            echoed = (await answer.content.read(MAX_CHALLENGE)).strip().strip(b'"')
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise _failed(f"Connection failed: {type(error).__name__}") from error
    if status != 200:
        raise _failed(f"HTTP Status Code = {status}; HTTP Message = {reason}")
    if echoed != challenge.encode():
        raise _failed("Response does not match challenge")


def _failed(why: str) -> GraphError:
    return GraphError(2200, message=f"(#2200) Callback verification failed with the following errors: {why}")
