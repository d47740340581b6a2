"""Examining an installation: what is asked of Meta and of ourselves, in the order of the eight checks."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from samvad.domain.context import Context, Resources
from samvad.domain.doctor import callback, model, queries
from samvad.domain.doctor.disk import Place, disk
from samvad.domain.doctor.model import CHECKS, Finding, Patient, fault, fine, skipped
from samvad.kit.errors import NotFound, Refused, SamvadError, StoreUnavailable
from samvad.storage import Tx
from samvad.whatsapp.errors import INVALID_TOKEN

T = TypeVar("T")
AT_ONCE = 4  # plugins examined side by side

_APART = ("clock", "disk")  # looked at once, and not for each plugin


async def examine_all(res: Resources, place: Place, *, plugin_id: str | None = None) -> list[Finding]:
    """Every plugin of every team, or one; and the machine. Raises NotFound for an unknown plugin."""
    found = await res.db.read(_patients, res, only=plugin_id)
    if plugin_id is not None and not found:
        raise NotFound(
            f"No active plugin {plugin_id:.60}; `samvad doctor` without --plugin lists all there are."
        )
    return [
        *await _plugins(res, found),
        *await clocks(res),
        *await asyncio.to_thread(disk, place, res.clock()),
        *await files(res, place),
    ]


async def examine_team(ctx: Context, *, plugin_id: str | None = None) -> list[Finding]:
    """This team's plugins and the clocks. The disk is the operator's: the command line looks at it."""
    ctx.must_manage("Asking the doctor")
    found = await ctx.db.read(_patients, ctx.resources, only=plugin_id)
    if plugin_id is not None and not found:
        raise NotFound("Plugin not found")
    return [*await _plugins(ctx.resources, found, only_ours=True), *await clocks(ctx.resources)]


def _patients(tx: Tx, res: Resources, *, only: str | None) -> list[Patient | Finding]:
    """The plugins with their secrets opened, and each WABA with its own; what another key sealed is a finding."""
    found: list[Patient | Finding] = []
    for row in queries.plugins_oldest_first(tx):
        if only not in (None, row.id):
            continue
        held = queries.held_by(tx, row.id)
        address = f"{res.public_url}/webhooks/whatsapp/{row.id}"
        for it in held:
            sealed = (
                it.access_token_sealed or row.access_token_sealed,
                it.app_secret_sealed or row.app_secret_sealed,
                row.verify_token_sealed,
            )
            try:
                token, secret, verify_token = map(res.seal.open, sealed)
            except ValueError as error:
                fix = "SAMVAD_SECRET_KEY=… samvad doctor    # the key of then; else connect the number again"
                found.append(replace(fault("token", f"the secrets are {error}", fix), plugin_id=row.id))
                continue
            of = f"WABA {it.waba_ids[0]}: " if len(held) > 1 and it.waba_ids else ""
            about = (row.id, row.team_id, row.name, it.waba_ids, it.phone_number_ids, address)
            found.append(Patient(*about, token, secret, verify_token, of))
    return found


async def _plugins(
    res: Resources, found: Sequence[Patient | Finding], *, only_ours: bool = False
) -> list[Finding]:
    if not found:
        why = "no number is connected yet: samvad connect"
        return [skipped(check, why) for check in CHECKS if check not in _APART]
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(it: Patient | Finding) -> list[Finding]:
        if isinstance(it, Finding):
            return [it]
        async with turns:
            examined = await examine(res, it, only_ours=only_ours)
            return [
                replace(finding, plugin_id=it.plugin_id, words=it.of + finding.words) for finding in examined
            ]

    return [finding for part in await asyncio.gather(*map(one, found)) for finding in part]


async def examine(res: Resources, patient: Patient, *, only_ours: bool = False) -> list[Finding]:
    """The checks of one plugin. No transaction is open in here.

    `only_ours`: ask no address but our own. Whoever owns the account sets the one at Meta, and could have
    us knock at doors of our own network.
    """
    found = await _token(res, patient)
    facts = found[0]
    findings = [found[1]]
    if found[1].state == "fault" or not patient.waba_ids:
        why = "no WABA is known" if found[1].state != "fault" else "the access token is not good"
        where, proven = patient.address, None
        findings += [skipped("scopes", why), skipped("subscription", why)]
        numbers: list[Finding] = [skipped("number", why)]
    else:
        findings.append(model.scopes(patient, facts))
        subscribed, where, numbers = await _accounts(res, patient, facts)
        findings += subscribed
        proven = await _proven(res, patient)
    if only_ours and where != patient.address:
        why = f"Meta delivers to {where:.200}; `samvad doctor` on the server asks there too"
        return [*findings, skipped("callback", why), skipped("signature", why), *numbers]
    reached = await callback.handshake(patient, where, from_outside=res.cloud.is_metas)
    signed = await callback.signed_body(patient, where, now=res.clock(), proven=proven)
    return [*findings, reached, signed, *numbers]


async def _token(res: Resources, patient: Patient) -> tuple[dict[str, Any], Finding]:
    facts = await _said(res.cloud.debug_token(token=patient.access_token))
    if isinstance(facts, dict) and facts:
        return facts, model.token(patient, facts, now=res.clock())
    if isinstance(facts, Refused) and facts.error.get("code") == INVALID_TOKEN:
        error = {"message": facts.problems[0]}
        return {}, model.token(patient, {"is_valid": False, "error": error}, now=res.clock())
    if isinstance(facts, SamvadError) and not isinstance(facts, Refused):
        fix = "curl -sI https://graph.facebook.com    # from this machine, until it answers"
        return {}, fault("token", f"Meta cannot be asked: {facts.problems[0]}", fix)
    # Meta would not speak of the token; what it opens is proof enough that it is good.
    ids = patient.waba_ids
    answer = await _said(res.cloud.waba(ids[0], token=patient.access_token, fields="id")) if ids else {}
    if isinstance(answer, SamvadError):
        facts = {"is_valid": False, "error": {"message": answer.problems[0]}}
        return {}, model.token(patient, facts, now=res.clock())
    return {}, model.fine("token", "Meta accepts it, and does not tell until when")


async def _accounts(
    res: Resources, patient: Patient, facts: dict[str, Any]
) -> tuple[list[Finding], str, list[Finding]]:
    """The findings on subscriptions, the address Meta delivers to, and the findings on numbers."""
    token, where = patient.access_token, patient.address
    subscribed: list[Finding] = []
    health: list[Finding] = []
    for waba_id in patient.waba_ids:
        numbers = await _said(res.cloud.phone_numbers(waba_id, token=token))
        apps = await _said(res.cloud.subscribed_apps(waba_id, token=token))
        account = await _said(res.cloud.waba(waba_id, token=token))
        if isinstance(numbers, SamvadError):
            health.append(fault("number", f"WABA {waba_id}: {numbers.problems[0]}", patient.reconnect))
            mine = []
        else:
            mine = [it for it in numbers if it.get("id") in patient.phone_number_ids]
            health += map(model.number, mine)
            gone = set(patient.phone_number_ids) - {it.get("id") for it in numbers}
            health += [_gone(patient, waba_id, it) for it in sorted(gone) if len(patient.waba_ids) == 1]
        if isinstance(account, dict) and (bad := model.account(account)) is not None:
            health.append(bad)
        if isinstance(apps, SamvadError):
            subscribed.append(fault("subscription", f"WABA {waba_id}: {apps.problems[0]}", patient.reconnect))
        else:
            app_id = facts.get("app_id")
            app_id = None if app_id is None else str(app_id)
            finding, at = model.subscription(patient, waba_id, apps, mine, app_id)
            subscribed.append(finding)
            where = at or where
    return subscribed, where, health or [skipped("number", "no number is known")]


def _gone(patient: Patient, waba_id: str, phone_number_id: str) -> Finding:
    words = f"number {phone_number_id} is no longer in WABA {waba_id}"
    return fault("number", words, f"open {model.META}, or {patient.reconnect}")


async def _proven(res: Resources, patient: Patient) -> bool | None:
    ids, secret = patient.waba_ids, patient.app_secret
    answer = await _said(res.cloud.prove_app_secret(ids[0], secret, token=patient.access_token))
    return answer if isinstance(answer, bool) else None


async def clocks(res: Resources) -> list[Finding]:
    """Our clock beside Meta's and the database's."""
    metas = await _said(res.cloud.time())
    if isinstance(metas, SamvadError):
        return [skipped("clock", metas.problems[0])]
    beside_meta = model.clock("Meta", metas, res.clock())
    beside_database = model.clock("the database", await res.db.read(queries.database_clock), res.clock())
    return [beside_meta] if beside_database.state == "fine" else [beside_meta, beside_database]


async def files(res: Resources, place: Place) -> list[Finding]:
    """Whether a store of files elsewhere takes, gives and forgets; a folder is looked at with the disk."""
    if place.blob_url.startswith("file:"):
        return []
    try:
        await res.blobs.try_out()
    except StoreUnavailable as error:
        fix = f"mend SAMVAD_BLOB_URL ({place.blob_url}), what belongs to it in the environment, or the store"
        return [fault("disk", f"{error.problems[0]} It says: {error.why}", fix)]
    return [fine("disk", f"{place.blob_url} takes files and gives them back")]


async def _said(asked: Awaitable[T]) -> T | SamvadError:
    """What came of it; here a refusal is a value, for it is what we came to hear."""
    try:
        return await asked
    except SamvadError as error:
        return error
