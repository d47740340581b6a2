"""Webhooks to customers: the log of deliveries and its replay, the endpoints, and the secret they are signed with."""

import base64
from collections.abc import Mapping
from typing import Any

from samvad.api import wire
from samvad.api.call import Call, Fields, numbers_of, page_of, whole
from samvad.asgi.replies import Reply, data
from samvad.domain.webhooks import objects
from samvad.domain.webhooks import operations as webhooks
from samvad.domain.webhooks.model import STATES, Which
from samvad.domain.webhooks.operations import HOUR_MS, LONGEST_OVERLAP_MS, OVERLAP_MS
from samvad.kit import phones
from samvad.kit.errors import BadRequest

FORMAT_OF = {name: format for format, name in wire.FORMATS.items()}
FARTHEST = 253_402_300_799_999  # the last millisecond of the year 9999


async def list_webhook_deliveries(call: Call) -> Reply:
    given = call.query()
    query = numbers_of(given)
    fields = Fields(query)
    limit, skip = page_of(query, fields)
    fields.done()
    page, attempts, more = await webhooks.list_deliveries(call.ctx, _which(given), limit=limit, skip=skip)
    return data([wire.delivery(row, attempts.get(row.id, [])) for row in page], _meta={"hasMore": more})


async def show_webhook_delivery(call: Call) -> Reply:
    row, attempts = await webhooks.get_delivery(call.ctx, call.path["deliveryId"])
    return data(wire.delivery_with_attempts(row, attempts))


async def show_webhook_delivery_body(call: Call) -> Reply:
    body = await webhooks.get_body(call.ctx, call.path["deliveryId"])
    try:
        shown = {"text": body.decode(), "base64": None}
    except UnicodeDecodeError:
        shown = {"text": None, "base64": base64.b64encode(body).decode()}
    return data({"size": len(body), **shown})


async def replay_webhook_delivery(call: Call) -> Reply:
    row, attempts = await webhooks.replay(call.ctx, call.path["deliveryId"])
    return data(wire.delivery(row, attempts))


async def replay_webhook_deliveries(call: Call) -> Reply:
    which = _which({"state": "EXHAUSTED", **await call.json()})
    return data({"count": await webhooks.replay_all(call.ctx, which)})


async def list_webhook_endpoints(call: Call) -> Reply:
    return data([wire.endpoint(*it) for it in await webhooks.list_endpoints(call.ctx)])


async def pause_webhook_endpoint(call: Call) -> Reply:
    await webhooks.pause(call.ctx, call.path["endpointId"])
    return data(wire.endpoint(*await webhooks.get_endpoint(call.ctx, call.path["endpointId"])))


async def resume_webhook_endpoint(call: Call) -> Reply:
    await webhooks.resume(call.ctx, call.path["endpointId"])
    return data(wire.endpoint(*await webhooks.get_endpoint(call.ctx, call.path["endpointId"])))


async def test_webhook_endpoint(call: Call) -> Reply:
    row, attempts = await webhooks.try_out(call.ctx, call.path["endpointId"])
    return data(wire.delivery_with_attempts(row, attempts))


async def add_object_webhook(call: Call) -> Reply:
    body = await call.json()
    fields = Fields(body)
    url = fields.text("url")
    who = Fields(fields.optional_object("actsAs") or {})
    events, procedures = (_names(body, fields, name) for name in ("events", "procedures"))
    fields.done()
    role, user = who.optional_text("role"), who.optional_text("user")
    who.done()
    shown = await objects.add(call.ctx, url=url, events=events, procedures=procedures, role=role, user=user)
    return data(wire.object_webhook(*shown))


async def list_object_webhooks(call: Call) -> Reply:
    return data([wire.object_webhook(*it) for it in await objects.list_all(call.ctx)])


async def remove_object_webhook(call: Call) -> Reply:
    await objects.remove(call.ctx, call.path["endpointId"])
    return data({"success": True})


async def show_webhook_secret(call: Call) -> Reply:
    return data(wire.webhook_secret(await webhooks.webhook_secrets(call.ctx)))


async def rotate_webhook_secret(call: Call) -> Reply:
    fields = Fields(await call.json())
    most = LONGEST_OVERLAP_MS // HOUR_MS
    hours = fields.number("overlapHours", OVERLAP_MS // HOUR_MS, least=0, most=most)
    fields.done()
    return data(wire.webhook_secret(await webhooks.rotate_secret(call.ctx, overlap_ms=hours * HOUR_MS)))


async def activate_webhook_secret(call: Call) -> Reply:
    return data(wire.webhook_secret(await webhooks.activate_secret(call.ctx)))


def _names(body: Mapping[str, Any], fields: Fields, name: str) -> list[str] | None:
    value = body.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(it, str) for it in value)):
        fields.problem(f"{name} must be a list of names; got {value!r:.60}.")
        return None
    return value


def _which(given: Mapping[str, Any]) -> Which:
    """The filters of a list or a replay; every one that cannot be right is named."""
    fields, problems = Fields(given), []
    words = {
        name: fields.optional_text(name) for name in ("pluginId", "event", "externalId", "state", "format")
    }
    for name, there_are in (("state", STATES), ("format", tuple(FORMAT_OF))):
        if words[name] is not None and words[name] not in there_are:
            problems.append(f"{name} must be one of {', '.join(there_are)}; got {words[name]!r:.40}.")
    phone = given.get("phone")
    moments = {}
    for name in ("from", "to"):
        said = whole(given.get(name))
        if said in (None, ""):
            continue
        if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= 15:
            said = int(said)
        if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= FARTHEST:
            problems.append(f"{name} must be a moment in epoch milliseconds; got {said!r:.40}.")
        else:
            moments[name] = said
    fields.done()
    if problems:
        raise BadRequest(*problems)
    return Which(
        state=words["state"],
        plugin_id=words["pluginId"],
        format=FORMAT_OF[words["format"]] if words["format"] else None,
        event=words["event"],
        peer=phones.digits(phone, name="phone") if phone not in (None, "") else None,
        wamid=words["externalId"],
        from_at=moments.get("from"),
        to_at=moments.get("to"),
    )
