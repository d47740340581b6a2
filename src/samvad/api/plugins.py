"""Plugins: make, show, change and delete them; take a WABA out of one."""

from samvad.api import wire
from samvad.api.call import Call, Fields
from samvad.asgi.replies import Reply, data
from samvad.domain.waba import partner, plugins
from samvad.kit.errors import BadRequest


async def create_plugin(call: Call) -> Reply:
    fields = Fields(await call.json())
    type, name = fields.text("type"), fields.text("name")
    fields.done()
    return data(wire.plugin(await plugins.create(call.ctx, type=type, name=name)))


async def list_plugins(call: Call) -> Reply:
    return data([wire.plugin(it) for it in await plugins.list_all(call.ctx)])


async def show_plugin(call: Call) -> Reply:
    return data(wire.plugin(await plugins.get(call.ctx, call.path["pluginId"])))


async def change_plugin(call: Call) -> Reply:
    """`serverConfig`, `isActive`, or both; `pluginId` repeats the path in the bodies that clients send."""
    body, plugin_id = await call.json(), call.path["pluginId"]
    fields = Fields(body)
    config, is_active = fields.optional_object("serverConfig"), fields.optional_switch("isActive")
    fields.done()
    if body.get("pluginId", plugin_id) != plugin_id:
        raise BadRequest("pluginId in the body is not the plugin of the path.")
    changed = await plugins.change(call.ctx, plugin_id, config=config, is_active=is_active)
    call.services.directory.forget()
    return data(wire.plugin(changed))


async def delete_plugin(call: Call) -> Reply:
    await plugins.delete(call.ctx, call.path["pluginId"])
    call.services.directory.forget()
    return data({"success": True})


async def create_connect_token(call: Call) -> Reply:
    """For a plugin that is there (`pluginId`), or for a new one and whom it is for."""
    body = await call.json()
    fields = Fields(body)
    if body.get("pluginId") not in (None, ""):
        plugin_id = fields.text("pluginId")
        fields.done()
        return data({"connectToken": await partner.invite_to(call.ctx, plugin_id)})
    name = fields.text("newPluginName")
    client = {
        "referenceId": fields.text("clientReferenceId"),
        "name": fields.text("clientName"),
        "email": fields.optional_text("clientEmail"),
    }
    fields.done()
    return data({"connectToken": await partner.invite_new(call.ctx, name=name, client=client)})


async def disconnect_waba(call: Call) -> Reply:
    fields = Fields(await call.json())
    plugin_id, waba_id = fields.text("pluginId"), fields.text("wabaId")
    fields.done()
    await plugins.disconnect(call.ctx, plugin_id, waba_id)
    call.services.directory.forget()
    return data({"success": True})
