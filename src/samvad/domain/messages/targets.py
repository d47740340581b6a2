"""Messages about messages: replies, reactions, edits and revokes find theirs, whichever comes first."""

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam

from samvad.domain.messages.model import AMENDING, Amendment, amended
from samvad.domain.messages.tables import messages
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

_about = (messages.c.id, messages.c.team_id, messages.c.wamid, messages.c.target_wamid)

ABOUT = every_team.select(*_about).where(
    among(messages.c.target_wamid, "wamids"), messages.c.target_wamid.is_not(None)
)
OF_THESE = every_team.select(*_about).where(
    among(messages.c.wamid, "wamids"), messages.c.target_wamid.is_not(None)
)

TARGETS = every_team.select(messages.c.id, messages.c.team_id, messages.c.wamid).where(
    among(messages.c.wamid, "wamids")
)

QUOTE = (
    every_team.update(messages)
    .where(messages.c.id == bindparam("message_id"), messages.c.in_reply_to.is_(None))
    .values(in_reply_to=bindparam("quoted"))
)

AMENDMENTS = every_team.select(
    messages.c.team_id,
    messages.c.wamid,
    messages.c.target_wamid,
    messages.c.direction,
    messages.c.data_type,
    messages.c.text,
    messages.c.at,
).where(
    among(messages.c.target_wamid, "wamids"),
    messages.c.target_wamid.is_not(None),
    messages.c.data_type.in_(AMENDING),
)

AMENDED = (
    every_team.select(
        messages.c.id,
        messages.c.team_id,
        messages.c.wamid,
        messages.c.direction,
        messages.c.text,
        messages.c.context,
    )
    .where(among(messages.c.wamid, "wamids"))
    .order_by(messages.c.id)
    .with_for_update()
)

AMEND = (
    every_team.update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(text=bindparam("new_text"), context=bindparam("new_context"))
)


def aim(tx: Tx, added: Sequence[tuple[str, str]], completed: Collection[tuple[str, str]] = ()) -> None:
    """Join new messages, by team and wamid, with those they are about and those about them.

    Those `completed` have just got their words, in the place of what an edit may have said of them before.
    """
    wamids = {wamid for _, wamid in (*added, *completed)}
    if not wamids:
        return
    rows = [*tx.all(OF_THESE, {"wamids": wamids}), *tx.all(ABOUT, {"wamids": wamids})]
    if not rows:
        return
    wanted = {row.target_wamid for row in rows}
    ids = {(row.team_id, row.wamid): row.id for row in tx.all(TARGETS, {"wamids": wanted})}
    pairs = {
        row.id: ids[row.team_id, row.target_wamid] for row in rows if (row.team_id, row.target_wamid) in ids
    }
    if pairs:
        tx.execute(QUOTE, [{"message_id": it, "quoted": pairs[it]} for it in sorted(pairs)])
        _amend(tx, {row.target_wamid for row in rows if row.id in pairs}, completed)


def _amend(tx: Tx, wamids: set[str], completed: Collection[tuple[str, str]]) -> None:
    """Say on each of these what was done to it; only who said a message can change it."""
    said: dict[tuple[str, str, str], list[Amendment]] = {}
    for row in tx.all(AMENDMENTS, {"wamids": wamids}):
        whose = (row.team_id, row.target_wamid, row.direction)
        said.setdefault(whose, []).append(Amendment(row.wamid, row.data_type, row.text, row.at))
    if not said:
        return
    changes = []
    for row in tx.all(AMENDED, {"wamids": {wamid for _, wamid, _ in said}}):
        before = row.context
        if (row.team_id, row.wamid) in completed:
            before = {name: it for name, it in (before or {}).items() if name != "edited"}
        text, context = amended(row.text, before, said.get((row.team_id, row.wamid, row.direction), ()))
        if (text, context) != (row.text, row.context):
            changes.append({"message_id": row.id, "new_text": text, "new_context": context})
    if changes:
        tx.execute(AMEND, changes)
