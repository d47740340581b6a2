"""What Meta's webhooks say of templates."""

from collections.abc import Sequence

from samvad.domain.inbound.model import AccountNews
from samvad.domain.waba import queries as waba
from samvad.storage import Tx

FIELDS = (
    "message_template_status_update",
    "message_template_quality_update",
    "message_template_components_update",
    "template_category_update",
)


def apply(tx: Tx, heard: Sequence[AccountNews], *, at: int) -> None:
    """What is known of an account's templates is old news now: the next one to ask asks Meta."""
    stale: dict[str, set[str]] = {}
    for it in heard:
        if it.field in FIELDS:
            stale.setdefault(it.team_id, set()).add(it.waba_id)
    for team_id, waba_ids in stale.items():
        waba.forget_templates_synced(tx, team_id=team_id, waba_ids=waba_ids)
