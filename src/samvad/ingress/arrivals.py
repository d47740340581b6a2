"""A message as Meta's webhooks tell it, in our words."""

from samvad.domain.contacts.model import Identity
from samvad.domain.messages.receiving import Arrival
from samvad.whatsapp.errors import from_webhook
from samvad.whatsapp.webhooks import Echo, Received, digits, word


def arrival(
    it: Received | Echo,
    team_id: str,
    plugin_id: str,
    direction: str,
    at: int,
    *,
    person: str | None = None,
    imported: bool = False,
) -> Arrival:
    """A message of Meta's as one of ours; `person` is the phone of whom it was exchanged with, where known."""
    phone = person or (it.phone if isinstance(it, Received) else it.to)
    identities = [Identity("phone", phone)] if phone else []
    if it.bsuid:
        identities.append(Identity("bsuid", it.bsuid))
    identities += [known for known in _becoming(it) if known not in identities]
    context = dict(it.context or {})
    if it.referral:
        context["referral"] = it.referral
    if it.group_id:
        context["group_id"] = it.group_id
    return Arrival(
        team_id=team_id,
        plugin_id=plugin_id,
        phone_number_id=it.phone_number_id,
        wamid=it.wamid,
        direction=direction,
        identities=tuple(identities),
        data_type=it.type,
        content=it.content,
        text=it.text,
        at=it.at or at,
        waba_id=it.waba_id,
        raw=it.raw,
        name=it.name,
        username=it.username,
        context=context,
        error={"message": from_webhook(it.errors[0]).text, "providerPayload": it.errors[0]}
        if it.errors
        else None,
        group_id=it.group_id,
        imported=imported,
    )


def _becoming(it: Received | Echo) -> list[Identity]:
    """What a person who changed it is known by from now on; what they were known by stays theirs."""
    if it.type != "system" or it.content.get("type") not in ("user_changed_number", "user_changed_user_id"):
        return []
    phone, bsuid = digits(it.content.get("wa_id")), word(it.content.get("user_id"))
    return ([Identity("phone", phone)] if phone else []) + ([Identity("bsuid", bsuid)] if bsuid else [])
