"""What Meta's webhooks say of templates, applied to our rows at once; a new reading of the list follows."""

from collections.abc import Sequence
from dataclasses import replace

from samvad.domain.events.log import Event, record
from samvad.domain.inbound.model import AccountNews
from samvad.domain.templates import knowledge, operations, queries
from samvad.domain.templates.knowledge import Known
from samvad.domain.waba import queries as waba
from samvad.storage import Tx


def apply(tx: Tx, heard: Sequence[AccountNews], *, at: int) -> None:
    """Apply these, in whatever order they came. Of a template we do not know, the list will tell."""
    mine = [(it, _template_id(it)) for it in heard if it.field in knowledge.FIELDS]
    if not mine:
        return
    before = queries.known(tx, {template_id for _, template_id in mine})
    after = dict(before)
    unknown: dict[str, set[str]] = {}
    for it, template_id in mine:
        team_id, known = after.get(template_id, (None, None))
        if known is None or team_id != it.team_id or known.template.waba_id != it.waba_id:
            unknown.setdefault(it.team_id, set()).add(it.waba_id)
            continue
        told = knowledge.after_news(known, it.field, it.value, at=it.at)
        after[template_id] = (it.team_id, told)
    changed = {
        template_id: (team_id, it)
        for template_id, (team_id, it) in after.items()
        if it is not before[template_id][1]
    }
    queries.put(tx, [(team_id, _touched(before[name][1], it, at)) for name, (team_id, it) in changed.items()])
    happened = [
        Event(team_id, event, template_id, data=data)
        for template_id, (team_id, it) in sorted(changed.items())
        for event, data in knowledge.changes(before[template_id][1], it)
    ]
    record(tx, happened, at=at)
    for team_id, waba_ids in unknown.items():
        waba.forget_templates_synced(tx, team_id=team_id, waba_ids=waba_ids)
    owners = waba.account_owners(tx, {it.waba_id for it, _ in mine})
    own = {(it.team_id, it.waba_id) for it, _ in mine if owners.get(it.waba_id) == it.team_id}
    operations.promise_sync(tx, own, at=at)


def _template_id(it: AccountNews) -> str:
    """Meta writes it as a number here, and as a string in its lists."""
    return str(it.value.get("message_template_id") or "")[:64]


def _touched(before: Known, after: Known, at: int) -> Known:
    return after if after.same_as(before) else replace(after, updated_at=at)
