"""What the hot paths ask about plugins and numbers, answered from a one-second memory."""

from collections.abc import Sequence
from typing import Any

from samvad.domain.context import Resources
from samvad.domain.waba import queries
from samvad.domain.waba.model import Callback, Credential, Plugin, Sender
from samvad.kit.errors import NotFound
from samvad.kit.remember import Remembered
from samvad.storage import Tx

LOOK_EVERY_S = 3600.0  # nothing lives that long here


class Directory:
    """Plugins and numbers by id; a change is seen within kit.remember.FOR_S seconds, mostly at once."""

    def __init__(self, res: Resources) -> None:
        self._res = res
        self._callbacks: Remembered[str, Callback | None] = Remembered(self._find_callback)
        self._senders: Remembered[tuple[str, str], tuple[Sender, Plugin] | None] = Remembered(
            self._find_sender
        )
        self._credentials: Remembered[str, tuple[Credential, ...]] = Remembered(self._find_credentials)

    async def callback(self, plugin_id: str) -> Callback | None:
        """How to believe a webhook that came in for this plugin."""
        return await self._callbacks(plugin_id)

    async def sender(self, team_id: str, phone_number_id: str, *, plugin_id: str | None = None) -> Sender:
        """The number to send from, which its plugin must let send.

        Raises NotFound, also for another team's number or plugin; Forbidden for a plugin that is not active
        and a number that is not enabled.
        """
        if plugin_id is not None:
            await self.check_plugin(team_id, plugin_id)
        found = await self._senders((team_id, phone_number_id))
        if found is not None and plugin_id in (None, found[0].plugin_id):
            sender, plugin = found
            plugin.refuse_use_of(phone_number_id)
            return sender
        raise NotFound(
            f"Phone number {phone_number_id:.40} not found in this plugin; "
            "GET /v1/ext/whatsapp-phone-number lists the ids you can send from."
        )

    async def credentials(self, team_id: str) -> tuple[Credential, ...]:
        """What a team can ask Meta with, one of each connected WABA, the oldest first."""
        return await self._credentials(team_id)

    async def check_plugin(self, team_id: str, plugin_id: str) -> None:
        """Raises NotFound unless the team has this plugin and something is connected to it."""
        callback = await self._callbacks(plugin_id)
        if callback is None or callback.team_id != team_id:
            raise NotFound("Plugin not found")
        if not callback.app_secrets:
            raise NotFound(
                "Phone number not found: this plugin has none connected yet. Connect one with a token of "
                "POST /v1/ext/whatsapp-partner/create-connect-token, or with `samvad connect`."
            )

    def forget(self) -> None:
        """Something changed: this process and all others ask anew."""
        self._forget_here()
        self._res.bells.plugins.ring()

    async def run(self) -> None:
        """Forget what other processes changed."""
        while True:
            await self._res.bells.plugins.wait(LOOK_EVERY_S)
            self._forget_here()

    def _forget_here(self) -> None:
        self._callbacks.forget()
        self._senders.forget()
        self._credentials.forget()

    async def _find_callback(self, plugin_id: str) -> Callback | None:
        def unit(tx: Tx) -> tuple[Any, Sequence[Any]]:
            return queries.plugin_of_any_team(tx, plugin_id), queries.secrets_of_accounts(tx, plugin_id)

        row, accounts = await self._res.db.read(unit)
        if row is None:
            return None
        opened = self._res.seal.open
        sealed = [it.app_secret_sealed for it in (row, *accounts) if it.app_secret_sealed]
        token = opened(row.verify_token_sealed) if row.verify_token_sealed else ""
        return Callback(row.id, row.team_id, tuple(dict.fromkeys(map(opened, sealed))), token)

    async def _find_credentials(self, team_id: str) -> tuple[Credential, ...]:
        rows = await self._res.db.team(team_id).read(queries.connected_accounts_oldest_first)
        opened = self._res.seal.open
        return tuple(
            Credential(it.id, it.plugin_id, opened(it.own or it.shared)) for it in rows if it.own or it.shared
        )

    async def _find_sender(self, key: tuple[str, str]) -> tuple[Sender, Plugin] | None:
        team_id, phone_number_id = key
        row = await self._res.db.team(team_id).read(queries.find_sender, phone_number_id)
        if row is None:
            return None
        token = self._res.seal.open(row.own_token_sealed or row.access_token_sealed)
        sender = Sender(phone_number_id, row.id, team_id, row.waba_id, token)
        return sender, queries.as_plugin(row)
