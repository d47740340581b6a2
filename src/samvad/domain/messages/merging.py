"""Two contacts that turned out to be one person keep all their messages."""

from collections.abc import Sequence

from sqlalchemy import bindparam

from samvad.domain.chats import queries as chats
from samvad.domain.contacts.model import Merge
from samvad.domain.messages.tables import messages
from samvad.storage import Tx, every_team

TO_CONTACT = (
    every_team.update(messages)
    .where(messages.c.team_id == bindparam("team"), messages.c.contact_id == bindparam("gone"))
    .values(contact_id=bindparam("kept"))
)

TO_CHAT = (
    every_team.update(messages)
    .where(
        messages.c.team_id == bindparam("team"),
        messages.c.contact_id == bindparam("of"),
        messages.c.chat_id == bindparam("ended"),
    )
    .values(chat_id=bindparam("kept"))
)


def move_history(tx: Tx, merges: Sequence[Merge], *, at: int) -> None:
    """Move the messages and chats of each contact that is gone to the one that was kept."""
    for merge in merges:
        ended = chats.move_to_contact(tx, gone=merge.gone, kept=merge.kept, at=at)
        tx.execute(TO_CONTACT, {"team": merge.team_id, "gone": merge.gone, "kept": merge.kept})
        for chat, kept in ended.items():
            tx.execute(TO_CHAT, {"team": merge.team_id, "of": merge.kept, "ended": chat, "kept": kept})
