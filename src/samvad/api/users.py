"""The people of the team: listed and shown with ids, or in words; and changed."""

from samvad.api import wire
from samvad.api.call import Call
from samvad.asgi.replies import Reply, data
from samvad.domain.accounts import people


async def list_users(call: Call) -> Reply:
    listed, _ = await people.list_people(call.ctx)
    return data([wire.user(it) for it in listed])


async def list_users_in_words(call: Call) -> Reply:
    listed, team_name = await people.list_people(call.ctx)
    return data([wire.user_in_words(it, team_name) for it in listed])


async def show_user(call: Call) -> Reply:
    return data(wire.shown_user(await people.show_person(call.ctx, call.path["userId"])))


async def show_user_in_words(call: Call) -> Reply:
    return data(wire.shown_user_in_words(await people.show_person(call.ctx, call.path["userId"])))


async def change_user(call: Call) -> Reply:
    given = await call.json()
    return data(wire.shown_user(await people.change_person(call.ctx, call.path["userId"], given)))
