"""Numbers we first hear of in a webhook: a number added at Meta begins to speak before it is connected here."""

from collections.abc import Sequence
from typing import NamedTuple

from samvad.domain.events.log import Event, record
from samvad.domain.waba import queries
from samvad.domain.waba.model import refresh_job
from samvad.jobs.queue import enqueue_once
from samvad.storage import Tx


class Mention(NamedTuple):
    """A business number in a webhook that was signed for a plugin of a team."""

    phone_number_id: str
    waba_id: str
    team_id: str
    plugin_id: str


def owners(tx: Tx, mentions: Sequence[Mention], *, at: int) -> dict[str, str]:
    """The team of each number; one nobody has yet is noted for the team whose plugin heard of it.

    Such a number is marked `discovered`: connecting it with Meta's token, by whichever team, wins.
    """
    if not mentions:
        return {}
    known = {it: row.team_id for it, row in queries.owners(tx, {m.phone_number_id for m in mentions}).items()}
    for it in mentions:
        if it.phone_number_id not in known:
            _note(tx, it, at=at)
            known[it.phone_number_id] = it.team_id
    return known


def _note(tx: Tx, it: Mention, *, at: int) -> None:
    common = {"team_id": it.team_id, "plugin_id": it.plugin_id, "created_at": at, "updated_at": at}
    found = {"discovered": True}
    if it.waba_id not in queries.account_owners(tx, {it.waba_id}):
        queries.put_account(tx, {"id": it.waba_id, "name": it.waba_id, "details": found, **common})
    number = {"id": it.phone_number_id, "waba_id": it.waba_id, "display_phone_number": "", "details": found}
    queries.put_number(tx, {**number, **common})
    record(tx, [Event(it.team_id, "number.discovered", it.phone_number_id)], at=at)
    enqueue_once(tx, [refresh_job(it.team_id, it.waba_id, at=at)], at=at)
