"""What the application may ask of a database, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, make_url
from sqlalchemy.exc import InterfaceError, OperationalError

from samvad.kit.errors import TooSlow, Unavailable
from samvad.storage.attributes import ScalarKind
from samvad.storage.tx import Tx
from samvad.storage.unit import P, Step, T, Unit, step

TROUBLE = (Unavailable, OperationalError, InterfaceError)
"""What goes wrong with a database itself: no item of a batch is to blame for it."""


class Database(ABC):
    """Units of work go in; what they return comes out once it is durable.

    A unit may be run again after its transaction was rolled back.

    Raises kit.errors.Unavailable when too much work is waiting, after close(), or where the database is in trouble:
    nothing was written then, but for kit.errors.Lost, after which nobody knows.
    """

    async def write(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit of the system itself, alone or in company; return after the commit."""
        return await self.run_write(step(None, unit, *args, **kwargs))

    async def read(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit of the system itself that only reads, and reads little."""
        return await self.run_read(step(None, unit, *args, **kwargs))

    def team(self, team_id: str) -> "TeamDatabase":
        """The same door, through which only one team's rows are seen."""
        return TeamDatabase(self, team_id)

    @abstractmethod
    async def run_write(self, step: Step[T]) -> T: ...

    @abstractmethod
    async def run_read(self, step: Step[T]) -> T: ...

    @abstractmethod
    async def run_search(self, step: Step[T], *, within_s: float) -> T:
        """Run a unit that only reads, and may read much: others go on meanwhile.

        Raises kit.errors.TooSlow when it takes longer.
        """

    @abstractmethod
    async def migrate(self, upgrade: Callable[[Connection], None]) -> None:
        """Run a schema change outside of every unit, as only one process at a time."""

    @abstractmethod
    async def create_attribute_index(
        self, table: Table, column: str, short_id: str, kind: ScalarKind
    ) -> None:
        """Have storage.attributes.attribute_index, made while reads go on; nothing happens when it is there.

        On SQLite writes wait for it, on PostgreSQL they go on.
        """

    @abstractmethod
    def serve(self) -> None:
        """From now on this process answers people, and waits for no other that holds a file as a command may."""

    @abstractmethod
    async def close(self) -> None:
        """Finish the work already accepted, then let go of the database."""


@dataclass(frozen=True, slots=True)
class TeamDatabase:
    """A database through which only one team's rows are seen."""

    database: Database
    team_id: str

    async def write(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit, alone or in the company of others; return after the commit."""
        return await self.database.run_write(step(self.team_id, unit, *args, **kwargs))

    async def read(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit that only reads, and reads little."""
        return await self.database.run_read(step(self.team_id, unit, *args, **kwargs))

    async def search(self, unit: Callable[[Tx], T], *, within_s: float) -> T:
        """Run a unit that only reads, and may read much. Raises kit.errors.TooSlow when it takes longer."""
        return await self.database.run_search(step(self.team_id, unit), within_s=within_s)


def too_slow(within_s: float) -> TooSlow:
    return TooSlow(
        f"This would take longer than {within_s:g} s. Ask for less: a value of a filterable attribute is found by "
        "an index, and a smaller `skip` is quicker."
    )


def open_database(url: str) -> Database:
    """`sqlite:///file.db` or `postgresql://user:password@host/name`."""
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        from samvad.storage.sqlite import SqliteDatabase

        if parts.database:
            Path(parts.database).parent.mkdir(parents=True, exist_ok=True)
        return SqliteDatabase(url)
    from samvad.storage.postgres import PostgresDatabase

    return PostgresDatabase(url)
