"""Lists that a client may ask for are found in an index: on SQLite they run on the loop that serves everybody."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from samvad.domain.accounts.access import Access
from samvad.domain.chats import listing
from samvad.domain.chats.model import Wanted
from samvad.domain.contacts import queries as contacts
from samvad.domain.media import queries as media
from samvad.domain.messages import queries as messages
from samvad.domain.messages import sends, statuses
from samvad.domain.webhooks import queries as webhooks
from samvad.domain.webhooks import serving
from samvad.domain.webhooks.model import Which
from samvad.storage import Tx, open_database
from tests.harness import copy_file

Asked = Callable[[Tx], Any]
ALL = Access("all", "")


def log_of(**which: Any) -> Asked:
    return lambda tx: webhooks.newest_first(tx, Which(**which), limit=26, skip=0)


def files(state: str | None) -> Asked:
    return lambda tx: media.newest_first(tx, state=state, limit=26, skip=0)


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        (log_of(), "webhook_delivery_team_id (team_id=?)"),
        (log_of(state="EXHAUSTED"), "webhook_delivery_state (team_id=? AND state=?)"),
        (log_of(state="PENDING"), "webhook_delivery_state (team_id=? AND state=?)"),
        (log_of(event="messages"), "webhook_delivery_event (team_id=? AND event=?)"),
        (log_of(peer="15550001111"), "webhook_delivery_peer (team_id=? AND peer=?)"),
        (log_of(wamid="wamid.x"), "webhook_delivery_wamid (team_id=? AND wamid=?)"),
        (
            log_of(from_at=4_000_000, to_at=9_000_000),
            "webhook_delivery_team_id (team_id=? AND id>? AND id<?)",
        ),
        (log_of(plugin_id="p"), "webhook_delivery_endpoint (endpoint_id=?)"),
        (lambda tx: webhooks.awaited(tx, [1]), "endpoint_id (endpoint_id=? AND inbound_event_id=?)"),
        (lambda tx: tx.all(webhooks.LAST, {"endpoints": ["e"]}), "(endpoint_id=?)"),
        (lambda tx: listing.with_ids(tx, ["c"], ALL), "chat USING INDEX sqlite_autoindex_chat_1 (id=?)"),
        (
            lambda tx: listing.page(tx, Wanted("lastMessageAt", True, 50, 0, "ada", None), ALL),
            "chat USING INDEX sqlite_autoindex_chat_1 (id=?)",
        ),
        (lambda tx: messages.latest_of(tx, ["c"]), "chat USING INDEX sqlite_autoindex_chat_1 (id=?)"),
        (lambda tx: messages.latest_of(tx, ["c"]), "message USING INDEX sqlite_autoindex_message_1 (id=?)"),
        (
            lambda tx: contacts._first_phones(tx, ["c"]),
            "contact_identity USING INDEX ix_contact_identity_contact_id (contact_id=?)",
        ),
        (
            lambda tx: webhooks.again(tx, ["d"], at=1),
            "webhook_delivery USING INDEX sqlite_autoindex_webhook_delivery_1 (id=?)",
        ),
        (files(None), "media_team_id_created_at (team_id=?)"),
        (files("FAILED"), "media_team_id_state (team_id=? AND state=?)"),
        (lambda tx: media.find_by_mid(tx, "1"), "media_team_id_mid (team_id=? AND mid=?)"),
    ],
)
async def test_a_list_is_found_in_its_index(
    migrated_sqlite: Path, tmp_path: Path, asked: Asked, index: str
) -> None:
    plan = await plan_of(asked, copy_file(migrated_sqlite, tmp_path / "samvad.db"), tmp_path / "samvad.db")

    assert any(index in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        (
            lambda tx: statuses.sweep_parked(tx, at=1, since=1),
            "SEARCH parked_status USING INDEX ix_parked_status_parked_at (parked_at>?)",
        ),
        (
            lambda tx: sends.unanswered_oldest_first(tx, before=1, limit=100),
            "SCAN message USING INDEX ix_message_sending",
        ),
        (
            lambda tx: sends.forget_oldest_promises(tx, before=1, limit=100),
            "SEARCH idempotency_key USING INDEX sqlite_autoindex",
        ),
        (
            lambda tx: serving.due_oldest_first(tx, "e", me="m", elsewhere=(), now=1, limit=50),
            "SEARCH webhook_delivery USING INDEX ix_webhook_delivery_pending",
        ),
        (
            lambda tx: tx.all(serving.HELD, {"endpoint": "e", "now": 1}),
            "SEARCH webhook_delivery USING INDEX ix_webhook_delivery_holds",
        ),
    ],
    ids=["sweep of parked statuses", "naming unanswered sends", "forgetting promises", "due", "held"],
)
async def test_what_is_done_by_the_clock_reads_what_waits_and_not_all_that_ever_was(
    migrated_sqlite: Path, tmp_path: Path, asked: Asked, first: str
) -> None:
    plan = await plan_of(asked, copy_file(migrated_sqlite, tmp_path / "samvad.db"), tmp_path / "samvad.db")

    assert plan[0].startswith(first), plan


async def test_a_look_for_endpoints_with_work_reads_what_waits_and_not_the_log(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    url = copy_file(migrated_sqlite, tmp_path / "samvad.db")

    plan = await plan_of(lambda tx: serving.ready(tx, me="m", now=1), url, tmp_path / "samvad.db")

    assert any("webhook_delivery USING INDEX ix_webhook_delivery_pending" in step for step in plan), plan


async def plan_of(asked: Asked, url: str, file: Path) -> list[str]:
    """How SQLite carries out the last statement of it, step by step."""
    with sqlite3.connect(file) as visitor:
        visitor.execute(
            "INSERT INTO endpoint (id, team_id, plugin_id, format, url, events, is_active, hears_from_at,"
            " failures, created_at, updated_at, lease_owner)"
            " VALUES ('e', 't', 'p', 'meta', 'u', '[]', 1, 0, 0, 0, 0, 'm')"
        )
    said: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, sql: str, params: Any, context: Any, many: bool) -> None:
        said.append((sql, params))

    db = open_database(url)
    event.listen(Engine, "before_cursor_execute", listen)
    try:
        await db.team("t").write(asked)
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
        await db.close()
    sql, params = said[-1]
    plan = [row[3] for row in visitor.execute(f"EXPLAIN QUERY PLAN {sql}", params)]
    visitor.close()
    return plan
