"""Leads and conversations: whoever writes, or is written to, has one; and one person has one."""

from samvad.domain.contacts import queries as contacts
from samvad.domain.context import Context, Resources
from samvad.domain.procedures import queries as procedures
from samvad.domain.procedures.blueprint import Blueprint
from samvad.domain.procedures.model import LEAD
from samvad.domain.processes import queries
from samvad.domain.processes.drafts import Draft
from samvad.domain.processes.writing import Desk, Done, create_many, open_desk
from samvad.jobs.queue import Job
from samvad.storage import Tx


async def open_leads(res: Resources, job: Job) -> None:
    """The job behind a new contact: its lead, once, where the team has leads and wants them opened."""

    def unit(tx: Tx) -> None:
        open_for(tx, job.team_id, job.args["contacts"], at=res.clock())

    await res.db.team(job.team_id).write(unit)
    res.bells.deliveries.ring()


async def follow_merge(res: Resources, job: Job) -> None:
    """The job behind two contacts that proved to be one: the processes of the one that is gone are the other's."""
    await res.db.team(job.team_id).write(
        queries.move_processes, gone=job.args["gone"], kept=job.args["kept"], at=res.clock()
    )


async def lead_id(ctx: Context) -> str | None:
    """The id of the team's lead procedure."""

    def unit(tx: Tx) -> str | None:
        plan = procedures.find(tx, LEAD)
        return plan.id if plan else None

    return await ctx.db.read(unit)


def open_for(tx: Tx, team_id: str, contact_ids: list[str], *, at: int) -> None:
    """One lead for each of these people who has none: the one with their phone, or a new one."""
    plan = procedures.find(tx, LEAD)
    if plan is None:
        return
    desk = open_desk(tx, None, plan.id, at=at)
    if not desk.settings.opens_leads:
        return
    people = contacts.without_lead(tx, contact_ids)
    drafts = [_draft(plan, contact_id, name, phone) for contact_id, name, phone in people]
    made = create_many(desk, drafts, only_fill=True)
    pairs = [
        (contact_id, outcome.process.id)
        for (contact_id, _, _), outcome in zip(people, made, strict=True)
        if isinstance(outcome, Done)
    ]
    contacts.set_lead(tx, pairs, at=at)


def _draft(plan: Blueprint, contact_id: str, name: str | None, phone: str | None) -> Draft:
    """What a conversation knows of a person, under the procedure's own names for it."""
    definition, settable = plan.definition, plan.schema.settable
    data = {}
    if phone and definition.primary_phone in settable:
        data[definition.primary_phone] = phone
    if name and definition.primary_identifier in settable:
        data[definition.primary_identifier] = name
    return Draft(data={it: value for it, value in data.items() if it is not None}, contact_id=contact_id)


def phone_of(desk: Desk, data: dict[str, object]) -> str | None:
    """The phone a process is reached at."""
    name = desk.plan.definition.primary_phone
    value = data.get(name) if name else None
    return str(value) if value is not None else None
