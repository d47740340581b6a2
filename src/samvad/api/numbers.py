"""How people find the ids they need: numbers, accounts, and a plugin's configuration."""

from samvad.api import wire
from samvad.api.call import Call
from samvad.asgi.replies import Reply, data
from samvad.domain.waba import operations as waba
from samvad.domain.waba import refresh


async def list_phone_numbers(call: Call) -> Reply:
    rows = await waba.list_numbers(call.ctx, plugin_id=await _plugin_filter(call))
    return data([wire.phone_number(row) for row in rows])


async def show_phone_number(call: Call) -> Reply:
    return data(wire.phone_number(await waba.get_number(call.ctx, call.path["phoneNumberId"])))


async def refresh_phone_number(call: Call) -> Reply:
    """Read the number and its whole WABA from Meta now."""
    return data(wire.phone_number(await refresh.refresh_number(call.ctx, call.path["phoneNumberId"])))


async def list_business_accounts(call: Call) -> Reply:
    rows = await waba.list_accounts(call.ctx, plugin_id=await _plugin_filter(call))
    return data([wire.business_account(row) for row in rows])


async def show_plugin_config(call: Call) -> Reply:
    return data(wire.plugin_config(await waba.get_config(call.ctx, call.path["pluginId"])))


async def update_plugin_config(call: Call) -> Reply:
    await waba.update_config(call.ctx, call.path["pluginId"], await call.json())
    return data({"success": True})


async def _plugin_filter(call: Call) -> str | None:
    plugin_id = call.query().get("pluginId")
    if plugin_id is not None:
        await waba.get_plugin(call.ctx, plugin_id)
    return plugin_id
