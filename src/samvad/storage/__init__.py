"""One door to the database, the same on SQLite and on PostgreSQL."""

from samvad.storage.database import TROUBLE, Database, TeamDatabase, open_database
from samvad.storage.lane import Lane
from samvad.storage.tx import Tx

__all__ = ["TROUBLE", "Database", "Lane", "TeamDatabase", "Tx", "open_database"]
