"""Leads: the process a conversation opens. Procedures as data come on top of this."""

from samvad.domain.contacts import queries as contacts
from samvad.domain.context import Resources
from samvad.domain.events.log import Event, record
from samvad.domain.processes import queries
from samvad.jobs.queue import Job
from samvad.kit.ids import new_id
from samvad.storage import Tx

LEAD = "lead"


async def create_lead_procedure(res: Resources, team_id: str) -> None:
    """Give a team its leads; every person who writes, or is written to, gets one from now on."""

    def unit(tx: Tx) -> None:
        if queries.find_procedure(tx, LEAD) is None:
            queries.add_procedure(tx, new_id(), short_id=LEAD, name="Lead", at=res.clock())

    await res.db.team(team_id).write(unit)


async def open_leads(res: Resources, job: Job) -> None:
    """The job behind a new contact: its lead, once, where the team has leads at all."""
    now = res.clock()

    def unit(tx: Tx) -> None:
        procedure_id = queries.find_procedure(tx, LEAD)
        if procedure_id is None:
            return
        leads = [(contact_id, new_id()) for contact_id in contacts.without_lead(tx, job.args["contacts"])]
        queries.add_processes(tx, procedure_id, leads, at=now)
        contacts.set_lead(tx, leads, at=now)
        record(tx, [Event(job.team_id, "process.created", process_id) for _, process_id in leads], at=now)

    await res.db.team(job.team_id).write(unit)


async def follow_merge(res: Resources, job: Job) -> None:
    """The job behind two contacts that proved to be one: the processes of the one that is gone are the other's."""
    await res.db.team(job.team_id).write(
        queries.move_processes, gone=job.args["gone"], kept=job.args["kept"], at=res.clock()
    )
