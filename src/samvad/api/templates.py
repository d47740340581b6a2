"""The team's message templates as we know them, and what a send of one would be."""

from samvad.api import wire
from samvad.api.call import Call, Fields, numbers_of, page_of
from samvad.asgi.replies import Reply, data
from samvad.domain.templates import operations as templates
from samvad.domain.templates.queries import Filter
from samvad.domain.templates.values import TemplateValues
from samvad.domain.waba import operations as waba


async def list_templates(call: Call) -> Reply:
    query = call.query()
    paging = numbers_of(query)
    fields = Fields(paging)
    limit, skip = page_of(paging, fields)
    fields.done()
    plugin_id = query.get("pluginId")
    if plugin_id is not None:
        await waba.get_plugin(call.ctx, plugin_id)
    wanted = Filter(
        waba_ids={query["wabaId"]} if query.get("wabaId") else None,
        name=query.get("name") or None,
        language=query.get("language") or None,
        status=query.get("status", "").upper() or None,
        category=query.get("category", "").upper() or None,
    )
    page, more = await templates.list_by_name(call.ctx, wanted, plugin_id=plugin_id, limit=limit, skip=skip)
    return data([wire.template(it) for it in page], _meta={"hasMore": more})


async def show_template(call: Call) -> Reply:
    return data(wire.template(await templates.get(call.ctx, call.path["templateId"])))


async def sync_templates(call: Call) -> Reply:
    """Read an account's templates from Meta now."""
    fields = Fields(await call.json())
    waba_id = fields.text("wabaId")
    fields.done()
    synced_at = await templates.sync_now(call.ctx, waba_id)
    return data({"wabaId": waba_id, "syncedAt": synced_at})


async def render_template(call: Call) -> Reply:
    """What the send with this body would be, without sending it."""
    values = TemplateValues.from_wire(await call.json())
    known, filled = await templates.preview(call.ctx, call.path["templateId"], values)
    return data(
        {
            "status": known.template.status,
            "headerText": filled.header_text,
            "text": filled.text,
            "payload": filled.payload,
        }
    )
