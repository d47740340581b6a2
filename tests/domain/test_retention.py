"""What is kept for a time goes after it, and nothing else does."""

from pathlib import Path

import pytest

from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contacts
from samvad.domain.events.log import Event, record
from samvad.domain.events.tables import events
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.media.tables import media
from samvad.domain.messages.tables import messages
from samvad.domain.retention import CHUNK
from samvad.domain.waba import operations as waba
from samvad.kit.errors import BadRequest
from samvad.settings import from_environment
from samvad.storage import Tx
from tests.domain.meta import message, received
from tests.domain.quick import START, Small, quick

DAY_MS = 24 * 60 * 60 * 1000
NOBODY = "http://127.0.0.1:9/hook"


async def test_bodies_of_meta_go_once_they_are_folded_read_and_delivered_and_what_they_said_stays(
    small: Small,
):
    await small.hears(received(message("wamid.1")), b"no json")
    await waba.update_config(small.context(), small.ada.plugin_id, {"passThroughWebhookUrl": NOBODY})
    await small.hears(received(message("wamid.2")))  # still to be delivered
    await small.deliver(received(message("wamid.3")))  # still to be folded
    first, unread, awaited, unfolded = await small.rows(inbound_events)

    small.clock.pass_by(89 * DAY_MS)
    await small.app.forget_old()
    assert len(await small.rows(inbound_events)) == 4
    small.clock.pass_by(2 * DAY_MS)
    await small.app.forget_old()

    assert [row.id for row in await small.rows(inbound_events)] == [unread.id, awaited.id, unfolded.id]
    assert [row.wamid for row in await small.rows(messages)] == ["wamid.1", "wamid.2"]
    assert "message.received" in {row.name for row in await small.rows(events)}
    await small.fold()
    await small.app.forget_old()
    assert first.id not in {row.id for row in await small.rows(inbound_events)}


async def test_messages_go_with_their_files_and_people_stay(database_url: str, tmp_path: Path):
    async with quick(database_url, tmp_path, loops=False, message_keep_days="100") as small:
        await small.hears(received(message("wamid.old", type="image", image={"id": "4711"})))
        small.clock.pass_by(60 * DAY_MS)
        await small.hears(received(message("wamid.new", type="image", image={"id": "4712"})))
        small.clock.pass_by(41 * DAY_MS)

        await small.app.forget_old()

        assert [row.wamid for row in await small.rows(messages)] == ["wamid.new"]
        assert [row.id for row in await small.rows(media)] == ["4712"]
        assert len(await small.rows(contacts)) == 1
        assert len(await small.rows(chats)) == 1
        assert len(await small.rows(inbound_events)) == 1, "what is gone is not looked for in its body"


async def test_a_long_log_goes_chunk_by_chunk_over_all_teams(database_url: str, tmp_path: Path):
    def happened(tx: Tx, count: int, at: int) -> None:
        record(tx, [Event(f"team-{n % 3}", "some.thing", f"{n}") for n in range(count)], at=at)

    async with quick(database_url, tmp_path, loops=False, event_keep_days="365") as small:
        await small.execute(events.delete())
        await small.res.db.write(happened, 2 * CHUNK + 7, START)
        await small.res.db.write(happened, CHUNK + 5, START + 30 * DAY_MS)
        small.clock.pass_by(366 * DAY_MS)

        await small.app.forget_old()

        assert {row.at for row in await small.rows(events)} == {START + 30 * DAY_MS}
        assert len(await small.rows(events)) == CHUNK + 5


def test_a_body_outlives_its_deliveries_and_what_it_says_outlives_the_body(tmp_path: Path):
    def keep(**days: str) -> tuple[float, float, float]:
        environment = {f"SAMVAD_{name.upper()}_KEEP_DAYS": it for name, it in days.items()}
        it = from_environment(environment, data_dir=tmp_path)
        return it.inbound_keep_days, it.event_keep_days, it.message_keep_days

    assert keep() == (90, 0, 0)
    assert keep(message="45") == (45, 0, 45)
    assert keep(webhook="120") == (120, 0, 0)
    assert keep(inbound="0") == (0, 0, 0)
    for days in (
        {"inbound": "3"},
        {"inbound": "20"},
        {"inbound": "60", "message": "30"},
        {"inbound": "0", "event": "30"},
        {"webhook": "60", "message": "45"},
    ):
        with pytest.raises(BadRequest, match="KEEP_DAYS must be 0, for ever, or at least"):
            keep(**days)
