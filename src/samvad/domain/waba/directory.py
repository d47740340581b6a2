"""What the hot paths ask about plugins and numbers, answered from a one-second memory."""

from samvad.domain.context import Resources
from samvad.domain.waba import queries
from samvad.domain.waba.model import Callback, Sender
from samvad.kit.errors import NotFound
from samvad.kit.remember import Remembered


class Directory:
    """Plugins and numbers by id; a change is seen within kit.remember.FOR_S seconds."""

    def __init__(self, res: Resources) -> None:
        self._res = res
        self._callbacks: Remembered[str, Callback | None] = Remembered(self._find_callback)
        self._senders: Remembered[tuple[str, str], Sender | None] = Remembered(self._find_sender)

    async def callback(self, plugin_id: str) -> Callback | None:
        """How to believe a webhook that came in for this plugin."""
        return await self._callbacks(plugin_id)

    async def sender(self, team_id: str, phone_number_id: str, *, plugin_id: str | None = None) -> Sender:
        """The number to send from. Raises NotFound, also for another team's number or plugin."""
        if plugin_id is not None and not await self._has_plugin(team_id, plugin_id):
            raise NotFound("Plugin not found")
        sender = await self._senders((team_id, phone_number_id))
        if sender is None or plugin_id not in (None, sender.plugin_id):
            raise NotFound(
                f"Phone number {phone_number_id:.40} not found in this plugin; "
                "GET /v1/ext/whatsapp-phone-number lists the ids you can send from."
            )
        return sender

    async def _has_plugin(self, team_id: str, plugin_id: str) -> bool:
        callback = await self._callbacks(plugin_id)
        return callback is not None and callback.team_id == team_id

    def forget(self) -> None:
        self._callbacks.forget()
        self._senders.forget()

    async def _find_callback(self, plugin_id: str) -> Callback | None:
        row = await self._res.db.read(queries.plugin_of_any_team, plugin_id)
        if row is None:
            return None
        opened = self._res.seal.open
        return Callback(row.id, row.team_id, opened(row.app_secret_sealed), opened(row.verify_token_sealed))

    async def _find_sender(self, key: tuple[str, str]) -> Sender | None:
        team_id, phone_number_id = key
        row = await self._res.db.team(team_id).read(queries.find_sender, phone_number_id)
        if row is None:
            return None
        token = self._res.seal.open(row.access_token_sealed)
        return Sender(phone_number_id, row.id, team_id, row.waba_id, token)
