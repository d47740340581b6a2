"""Template messages for a process, and for a phone whose lead is opened before the message goes."""

from typing import NamedTuple

from samvad.domain.accounts.access import Who
from samvad.domain.contacts import queries as contacts
from samvad.domain.contacts.model import Identity, Person
from samvad.domain.context import Context
from samvad.domain.messages import operations as messages
from samvad.domain.messages.model import Message
from samvad.domain.procedures import queries as procedures
from samvad.domain.procedures.model import LEAD
from samvad.domain.processes import leads, queries
from samvad.domain.processes.writing import Target, open_desk, resolve, unknown
from samvad.domain.templates.values import TemplateValues
from samvad.domain.waba.model import Sender
from samvad.kit import phones
from samvad.kit.errors import BadRequest, NotFound
from samvad.storage import Tx


class Addressee(NamedTuple):
    """A process, and the number under which its person is reached."""

    process_id: str
    phone: str


async def send_template_to_phone(
    ctx: Context,
    sender: Sender,
    *,
    to: str,
    name: str,
    language: str | None,
    values: TemplateValues,
    idempotency_key: str | None = None,
) -> Message:
    """As messages.send_template; the person has a lead before the message goes, where the team opens leads."""
    await ctx.db.write(_meet, ctx.team_id, to, at=ctx.now())
    return await messages.send_template(
        ctx, sender, to=to, name=name, language=language, values=values, idempotency_key=idempotency_key
    )


async def addressee(ctx: Context, word: str, *, procedure: str | None) -> Addressee:
    """Whom a message for a process goes to. Raises NotFound, and BadRequest where the process has no phone.

    `word` is the process's id or its primary key; without a procedure it is an id, or the key of a lead.
    """

    def unit(tx: Tx) -> Addressee:
        named = procedure
        if named is None:
            found = queries.find(tx, word)
            named = found.procedure_id if found else LEAD
            if found is None and procedures.find(tx, LEAD) is None:
                raise NotFound(f"Process {word:.100} not found")
        desk = open_desk(tx, Who.of(ctx), named, at=ctx.now())
        target = Target(word)
        process = resolve(desk, [target]).get(target)
        if process is None or not desk.access.sees(process):
            raise unknown(desk, target)
        given = leads.phone_of(desk, process.data)
        if given is None and process.contact_id is not None:
            given = contacts.phone_of(tx, process.contact_id)
        if given is None and process.record_id is not None and desk.entity is not None:
            record = queries.find_records(tx, [process.record_id]).get(process.record_id)
            field = desk.entity.entity.primary_phone
            given = str(record.data[field]) if record and field and field in record.data else None
        called = f"{desk.plan.definition.name} {process.primary_key or process.id}"
        if given is None:
            raise BadRequest(f"{called} has no phone number to send to; set its phone first.")
        digits = phones.with_country(phones.digits(given), desk.settings.country)
        return Addressee(process.id, phones.digits(digits, name=f"The phone number of {called}"))

    return await ctx.db.read(unit)


def _meet(tx: Tx, team_id: str, phone: str, *, at: int) -> None:
    """Know the person, and open their lead, in one commit."""
    known = contacts.find(tx, Identity("phone", phone))
    if known is not None and known.process_id is not None:
        return
    (met,), _ = contacts.meet(tx, [Person(team_id, (Identity("phone", phone),))], at=at)
    if met.process_id is None:
        leads.open_for(tx, team_id, [met.id], at=at)
