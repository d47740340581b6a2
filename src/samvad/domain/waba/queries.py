"""Plugins, accounts and numbers in the database."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, Table, bindparam, func

from samvad.domain.waba.knowledge import INVALID
from samvad.domain.waba.model import ENABLED, Plugin, config_from
from samvad.domain.waba.tables import business_accounts, connect_tokens, phone_numbers, plugins
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

BY_PLUGIN = every_team.select(plugins).where(
    plugins.c.id == bindparam("plugin_id"), plugins.c.deleted_at.is_(None)
)
"""Across teams: Meta's webhooks bear no key of ours, only the plugin in their address."""

OWNERS = every_team.select(
    phone_numbers.c.id,
    phone_numbers.c.team_id,
    phone_numbers.c.plugin_id,
    phone_numbers.c.waba_id,
    phone_numbers.c.details,
    phone_numbers.c.disconnected_at,
).where(among(phone_numbers.c.id, "ids"))
"""Across teams: the fold must see that a number belongs to somebody else."""

NUMBERS = every_team.select(
    phone_numbers.c.id, phone_numbers.c.waba_id, phone_numbers.c.display_phone_number
).where(among(phone_numbers.c.id, "ids"))

ACCOUNT_OWNERS = every_team.select(business_accounts.c.id, business_accounts.c.team_id).where(
    among(business_accounts.c.id, "ids")
)

OWN_SECRETS = every_team.select(business_accounts.c.id, business_accounts.c.app_secret_sealed).where(
    business_accounts.c.plugin_id == bindparam("plugin_id"),
    business_accounts.c.disconnected_at.is_(None),
    business_accounts.c.app_secret_sealed.is_not(None),
)

ACCOUNTS_TO_CHANGE = (
    every_team.select(business_accounts)
    .where(among(business_accounts.c.id, "ids"), business_accounts.c.disconnected_at.is_(None))
    .order_by(business_accounts.c.id)
    .with_for_update()
)
NUMBERS_TO_CHANGE = (
    every_team.select(phone_numbers)
    .where(among(phone_numbers.c.waba_id, "ids"), phone_numbers.c.disconnected_at.is_(None))
    .order_by(phone_numbers.c.id)
    .with_for_update()
)
KNOWN_OF_ACCOUNT = (
    every_team.update(business_accounts)
    .where(business_accounts.c.id == bindparam("row"))
    .values(known=bindparam("now_known"), updated_at=bindparam("now"))
)
KNOWN_OF_NUMBER = (
    every_team.update(phone_numbers)
    .where(phone_numbers.c.id == bindparam("row"))
    .values(known=bindparam("now_known"), updated_at=bindparam("now"))
)

STALE_TEMPLATES = (
    every_team.update(business_accounts)
    .where(among(business_accounts.c.id, "ids"), business_accounts.c.team_id == bindparam("team"))
    .values(templates_synced_at=None)
)


class InvalidToken(NamedTuple):
    """A token Meta calls invalid: of a plugin, or of this WABA in it."""

    plugin_id: str
    team_id: str
    waba_id: str | None
    since_at: int


def plugin_of_any_team(tx: Tx, plugin_id: str) -> Row[Any] | None:
    return tx.first(BY_PLUGIN, {"plugin_id": plugin_id})


def find_plugin(tx: Tx, plugin_id: str) -> Plugin | None:
    row = tx.first(tx.select(plugins).where(plugins.c.id == plugin_id, plugins.c.deleted_at.is_(None)))
    return as_plugin(row) if row else None


def plugins_oldest_first(tx: Tx) -> list[Plugin]:
    alive = tx.select(plugins).where(plugins.c.deleted_at.is_(None))
    return [as_plugin(row) for row in tx.all(alive.order_by(plugins.c.created_at, plugins.c.id))]


def count_plugins(tx: Tx) -> int:
    row = tx.first(tx.select(plugins, func.count()).where(plugins.c.deleted_at.is_(None)))
    return int(row[0]) if row else 0


def stored_config(tx: Tx, plugin_id: str) -> dict[str, Any]:
    row = tx.first(tx.select(plugins, plugins.c.config).where(plugins.c.id == plugin_id))
    config: dict[str, Any] = row.config if row else {}
    return config


def set_plugin(tx: Tx, plugin_id: str, **changes: Any) -> None:
    tx.execute(tx.update(plugins).where(plugins.c.id == plugin_id).values(**changes))


def add_plugin(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(plugins), row)


def find_sender(tx: Tx, phone_number_id: str) -> Row[Any] | None:
    """A number that is connected, its plugin, and the token of its WABA where that has its own."""
    own_token = business_accounts.c.access_token_sealed.label("own_token_sealed")
    return tx.first(
        tx.select(phone_numbers, phone_numbers.c.waba_id, own_token, *plugins.c)
        .join(plugins, plugins.c.id == phone_numbers.c.plugin_id)
        .join(business_accounts, business_accounts.c.id == phone_numbers.c.waba_id)
        .where(phone_numbers.c.id == phone_number_id, phone_numbers.c.disconnected_at.is_(None))
    )


def find_number(tx: Tx, phone_number_id: str) -> Row[Any] | None:
    return tx.first(_connected_numbers(tx).where(phone_numbers.c.id == phone_number_id))


def _connected_numbers(tx: Tx) -> Select[Any]:
    """Numbers, each with what is known of its account: one that Meta took away takes its numbers along."""
    of_account = business_accounts.c.known.label("account_known")
    return (
        tx.select(phone_numbers, *phone_numbers.c, of_account)
        .join(business_accounts, business_accounts.c.id == phone_numbers.c.waba_id)
        .where(phone_numbers.c.disconnected_at.is_(None))
    )


def numbers_oldest_first(tx: Tx, *, plugin_id: str | None = None) -> Sequence[Row[Any]]:
    connected = _connected_numbers(tx)
    query = connected.order_by(phone_numbers.c.created_at, phone_numbers.c.id)
    return tx.all(query if plugin_id is None else query.where(phone_numbers.c.plugin_id == plugin_id))


def accounts_oldest_first(tx: Tx, *, plugin_id: str | None = None) -> Sequence[Row[Any]]:
    connected = tx.select(business_accounts).where(business_accounts.c.disconnected_at.is_(None))
    query = connected.order_by(business_accounts.c.created_at, business_accounts.c.id)
    return tx.all(query if plugin_id is None else query.where(business_accounts.c.plugin_id == plugin_id))


def find_account(tx: Tx, waba_id: str) -> Row[Any] | None:
    return tx.first(
        tx.select(business_accounts).where(
            business_accounts.c.id == waba_id, business_accounts.c.disconnected_at.is_(None)
        )
    )


def connected_accounts_oldest_first(tx: Tx) -> Sequence[Row[Any]]:
    """WABAs of plugins that are there and active, each with the sealed tokens to ask Meta about it."""
    return tx.all(
        tx.select(
            business_accounts,
            business_accounts.c.id,
            business_accounts.c.plugin_id,
            business_accounts.c.access_token_sealed.label("own"),
            plugins.c.access_token_sealed.label("shared"),
        )
        .join(plugins, plugins.c.id == business_accounts.c.plugin_id)
        .where(
            business_accounts.c.disconnected_at.is_(None), plugins.c.is_active, plugins.c.deleted_at.is_(None)
        )
        .order_by(business_accounts.c.created_at, business_accounts.c.id)
    )


def secrets_of_accounts(tx: Tx, plugin_id: str) -> Sequence[Row[Any]]:
    """Accounts of this plugin with app secrets of their own. Across teams, as `plugin_of_any_team` is."""
    return tx.all(OWN_SECRETS, {"plugin_id": plugin_id})


def disconnect_account(tx: Tx, waba_id: str, *, at: int) -> None:
    """The WABA and its numbers leave their plugin; the rows stay for what was said through them."""
    gone = {"disconnected_at": at, "updated_at": at}
    account = tx.update(business_accounts).where(business_accounts.c.id == waba_id)
    tx.execute(account.values(**gone, access_token_sealed=None, app_secret_sealed=None))
    tx.execute(tx.update(phone_numbers).where(phone_numbers.c.waba_id == waba_id).values(**gone))


def find_account_token(tx: Tx, waba_id: str) -> str | None:
    """The sealed token of this account, or of the plugin that has it; None where it is not connected."""
    own = business_accounts.c.access_token_sealed.label("own")
    row = tx.first(
        tx.select(business_accounts, own, plugins.c.access_token_sealed.label("shared"))
        .join(plugins, plugins.c.id == business_accounts.c.plugin_id)
        .where(business_accounts.c.id == waba_id, business_accounts.c.disconnected_at.is_(None))
    )
    return row.own or row.shared or None if row else None


def tokens_oldest_first(tx: Tx) -> list[tuple[str, str]]:
    """Plugin and sealed token, for each plugin that is there and each of its WABAs with a token of its own."""
    alive = tx.select(plugins, plugins.c.id, plugins.c.access_token_sealed).where(
        plugins.c.deleted_at.is_(None), plugins.c.access_token_sealed != ""
    )
    shared = [(row.id, row.access_token_sealed) for row in tx.all(alive.order_by(plugins.c.created_at))]
    own = [
        (row.plugin_id, row.access_token_sealed)
        for row in accounts_oldest_first(tx)
        if row.access_token_sealed
    ]
    return [*shared, *own]


def accounts_of_every_team(tx: Tx, *, after: str, limit: int) -> Sequence[Row[Any]]:
    """Across teams: the polls of templates and numbers go over all accounts, a page at a time."""
    table = business_accounts
    query = every_team.select(table.c.id, table.c.team_id, table.c.templates_synced_at, table.c.refreshed_at)
    connected = query.where(table.c.id > after, table.c.disconnected_at.is_(None))
    return tx.all(connected.order_by(table.c.id).limit(limit))


def number_of_any_team(tx: Tx, phone_number_id: str) -> Row[Any] | None:
    """Across teams: a number is connected by one team at a time."""
    return tx.first(every_team.select(phone_numbers).where(phone_numbers.c.id == phone_number_id))


def account_of_any_team(tx: Tx, waba_id: str) -> Row[Any] | None:
    """Across teams: a WABA is connected by one team at a time."""
    return tx.first(every_team.select(business_accounts).where(business_accounts.c.id == waba_id))


def put_number(tx: Tx, row: dict[str, Any]) -> None:
    """Write a number down, or write it anew. Across teams: see operations.connect."""
    upsert = every_team.upsert(phone_numbers).values(row)
    changed = {name: row[name] for name in row if name not in ("id", "created_at")}
    tx.execute(upsert.on_conflict_do_update(index_elements=["id"], set_=changed))


def put_account(tx: Tx, row: dict[str, Any]) -> None:
    """Write a WABA down, or write it anew. Across teams: see operations.connect."""
    upsert = every_team.upsert(business_accounts).values(row)
    changed = {name: row[name] for name in row if name not in ("id", "created_at")}
    tx.execute(upsert.on_conflict_do_update(index_elements=["id"], set_=changed))


def set_account(tx: Tx, waba_id: str, **changes: Any) -> None:
    tx.execute(tx.update(business_accounts).where(business_accounts.c.id == waba_id).values(**changes))


def accounts_to_change(tx: Tx, waba_ids: Collection[str]) -> Sequence[Row[Any]]:
    """Connected ones, locked. Across teams: the fold asks, and looks whose each is."""
    return tx.all(ACCOUNTS_TO_CHANGE, {"ids": waba_ids})


def numbers_to_change(tx: Tx, waba_ids: Collection[str]) -> Sequence[Row[Any]]:
    """Of these accounts, locked; as `accounts_to_change`, and after it."""
    return tx.all(NUMBERS_TO_CHANGE, {"ids": waba_ids})


def set_known_of_account(tx: Tx, waba_id: str, known: Any, *, at: int) -> None:
    """Across teams: of a row that was looked at and locked."""
    tx.execute(KNOWN_OF_ACCOUNT, {"row": waba_id, "now_known": known or None, "now": at})


def set_known_of_number(tx: Tx, phone_number_id: str, known: Any, *, at: int) -> None:
    """As `set_known_of_account`."""
    tx.execute(KNOWN_OF_NUMBER, {"row": phone_number_id, "now_known": known or None, "now": at})


def tokens_of_every_team(tx: Tx, table: Table, *, after: str, limit: int) -> Sequence[Row[Any]]:
    """Of plugins or of accounts, a page at a time. Across teams: one token of Meta may be known to several."""
    query = every_team.select(table.c.id, table.c.team_id, table.c.access_token_sealed)
    held = query.where(table.c.id > after, table.c.access_token_sealed != "")
    return tx.all(held.order_by(table.c.id).limit(limit))


def plugins_with_token(tx: Tx, sealed: str) -> list[Plugin]:
    """Plugins that hold exactly this sealed token; each sealing is another, so there is one at most."""
    return [it for it in plugins_oldest_first(tx) if it.access_token_sealed == sealed]


def accounts_with_token(tx: Tx, sealed: str) -> list[Row[Any]]:
    """Connected accounts with exactly this sealed token of their own."""
    return [row for row in accounts_oldest_first(tx) if row.access_token_sealed == sealed]


def invalid_tokens(tx: Tx, *, limit: int) -> list[InvalidToken]:
    """Of every team, for the audit: the tokens of plugins, and those that accounts have of their own."""
    noted = every_team.select(plugins).where(plugins.c.token_invalid_at.is_not(None))
    own = every_team.select(business_accounts).where(
        business_accounts.c.access_token_sealed.is_not(None), business_accounts.c.known.is_not(None)
    )
    return [
        *(
            InvalidToken(row.id, row.team_id, None, row.token_invalid_at)
            for row in tx.all(noted.where(plugins.c.deleted_at.is_(None)).order_by(plugins.c.id).limit(limit))
        ),
        *(
            InvalidToken(row.plugin_id, row.team_id, row.id, row.known[INVALID]["at"])
            for row in tx.all(own.order_by(business_accounts.c.id).limit(limit))
            if INVALID in row.known
        ),
    ]


def add_token(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(connect_tokens), row)


def token_of_any_team(tx: Tx, token_hash: str) -> Row[Any] | None:
    """Across teams: whoever holds the token has no key of ours."""
    return tx.first(every_team.select(connect_tokens).where(connect_tokens.c.token_hash == token_hash))


def use_token(tx: Tx, token_hash: str, *, at: int) -> None:
    tx.execute(tx.update(connect_tokens).where(connect_tokens.c.token_hash == token_hash).values(used_at=at))


def forget_old_tokens(tx: Tx, *, before: int) -> None:
    tx.execute(tx.delete(connect_tokens).where(connect_tokens.c.expires_at <= before))


def forget_tokens_of(tx: Tx, plugin_id: str) -> None:
    tx.execute(tx.delete(connect_tokens).where(connect_tokens.c.plugin_id == plugin_id))


def owners(tx: Tx, phone_number_ids: Collection[str]) -> dict[str, Row[Any]]:
    return {row.id: row for row in tx.all(OWNERS, {"ids": phone_number_ids})}


def numbers_by_id(tx: Tx, phone_number_ids: Collection[str]) -> dict[str, Row[Any]]:
    """Across teams: what webhooks say of the numbers their messages were sent from."""
    return {row.id: row for row in tx.all(NUMBERS, {"ids": phone_number_ids})}


def account_owners(tx: Tx, waba_ids: Collection[str]) -> dict[str, str]:
    return {row.id: row.team_id for row in tx.all(ACCOUNT_OWNERS, {"ids": waba_ids})}


def forget_templates_synced(tx: Tx, *, team_id: str, waba_ids: Collection[str]) -> None:
    tx.execute(STALE_TEMPLATES, {"ids": waba_ids, "team": team_id})


def as_plugin(row: Row[Any]) -> Plugin:
    return Plugin(
        row.id,
        row.team_id,
        row.name,
        row.is_active,
        config_from(row.config),
        row.access_token_sealed,
        row.created_at,
        row.updated_at,
        tuple(row.config.get(ENABLED) or ()),
        row.client,
        row.token_invalid_at,
    )
