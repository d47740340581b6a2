"""Reading accounts and their numbers from Meta again: when a webhook is vague, on demand, and by the clock."""

from collections.abc import Sequence
from typing import Any

import structlog

from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.waba import knowledge, queries, tokens
from samvad.domain.waba.operations import is_free, number_row
from samvad.domain.waba.poll import Poll
from samvad.jobs.queue import Job
from samvad.kit.errors import NotFound, Refused
from samvad.storage import Tx

Json = dict[str, Any]

log = structlog.get_logger(__name__)


async def refresh_number(ctx: Context, phone_number_id: str) -> Any:
    """Read the WABA of this number now; returns the number's row. Raises NotFound, and as Meta refuses."""
    number = await ctx.db.read(queries.find_number, phone_number_id)
    if number is None:
        raise NotFound(f"Phone number {phone_number_id:.40} not found")
    if not await refresh(ctx.resources, ctx.team_id, number.waba_id):
        raise NotFound(
            f"Phone number {phone_number_id:.40} not found at Meta: nobody has connected its account yet."
        )
    return await ctx.db.read(queries.find_number, phone_number_id)


async def refresh_promised(res: Resources, job: Job) -> None:
    """The job `waba.refresh`. Meta's no ends it: the poll asks again."""
    waba_id = job.args["wabaId"]
    try:
        await refresh(res, job.team_id, waba_id, since=job.args["since"])
    except Refused as error:
        log.warning("waba.not_refreshed", waba=waba_id, team=job.team_id, reason=str(error))


async def refresh(res: Resources, team_id: str, waba_id: str, *, since: int | None = None) -> bool:
    """Bring our rows to what Meta says of an account and its numbers, unless that was done `since`.

    False where this team has not connected it. Raises kit.errors as the Cloud API client does.
    """
    db = res.db.team(team_id)
    account = await db.read(queries.find_account, waba_id)
    sealed = await db.read(queries.find_account_token, waba_id)
    if account is None or sealed is None or account.details.get("discovered"):
        return False
    if since is not None and (account.refreshed_at or 0) > since:
        return True
    asked_at, token = res.clock(), res.seal.open(sealed)
    said = await res.cloud.waba(waba_id, token=token)
    listed = await res.cloud.phone_numbers(waba_id, token=token)
    await db.write(_store, waba_id, said, [it for it in listed if it.get("id")], asked_at=asked_at)
    await db.write(tokens.prove, sealed, asked_at=asked_at)
    return True


def _store(tx: Tx, waba_id: str, said: Json, listed: Sequence[Json], *, asked_at: int) -> None:
    """Safe beside another reading: the one that was asked for later wins."""
    (account,) = queries.accounts_to_change(tx, {waba_id}) or (None,)
    if account is None or account.team_id != tx.team_id or (account.refreshed_at or 0) >= asked_at:
        return
    happened = _store_account(tx, account, said, asked_at=asked_at)
    found = {str(it["id"]): it for it in listed}
    before = {row.id: row for row in queries.numbers_to_change(tx, {waba_id}) if row.team_id == tx.team_id}
    elsewhere = queries.owners(tx, found.keys() - before.keys())
    common = {"team_id": tx.team_id, "plugin_id": account.plugin_id, "updated_at": asked_at}
    for number_id, details in found.items():
        other = elsewhere.get(number_id)
        if other is not None and other.team_id != tx.team_id and not is_free(other):
            continue
        row = number_row(number_id, waba_id, details) | common | {"disconnected_at": None}
        was = before.get(number_id)
        known = knowledge.after_reading(was.known if was else None, asked_at=asked_at)
        queries.put_number(tx, row | {"known": known, "created_at": asked_at})
        if was is None:
            happened.append(Event(account.team_id, "number.added", number_id))
        else:
            happened += _number_changes(was, details, row["verified_name"], known)
    for number_id in before.keys() - found.keys():
        was = before[number_id]
        known = knowledge.after_reading(was.known, asked_at=asked_at, gone=True)
        queries.set_known_of_number(tx, number_id, known, at=asked_at)
        happened += _number_changes(was, was.details, was.verified_name, known)
    record(tx, happened, at=asked_at)


def _store_account(tx: Tx, account: Any, said: Json, *, asked_at: int) -> list[Event]:
    known = knowledge.after_reading(account.known, asked_at=asked_at)
    name = said.get("name") or account.name
    changes = {"name": name, "details": said, "known": known, "refreshed_at": asked_at}
    queries.set_account(tx, account.id, **changes, updated_at=asked_at)
    was = knowledge.account_state(account.details, account.name, account.known)
    now = knowledge.account_state(said, name, known)
    return [
        Event(account.team_id, event, account.id, data=data)
        for event, data in knowledge.account_changes(was, now)
    ]


def _number_changes(was: Any, details: Json, verified_name: str | None, known: Any) -> list[Event]:
    before = knowledge.number_state(was.details, was.verified_name, was.known)
    after = knowledge.number_state(details, verified_name, known)
    if was.details.get("discovered"):  # all of it is new
        return [Event(was.team_id, "number.added", was.id)]
    return [
        Event(was.team_id, event, was.id, data=data)
        for event, data in knowledge.number_changes(before, after)
    ]


def poll(res: Resources, *, every_s: float) -> Poll:
    """Reads every account and its numbers by the clock."""
    return Poll(
        res,
        every_s=every_s,
        read_at=lambda account: account.refreshed_at,
        read=refresh,
        failed="waba.not_refreshed",
    )
