"""Statements that reach every team's rows, for the few units that truly work for all of them.

Ingress, the fold, the queues and migrations handle many teams in one batch; their rows carry
their `team_id` themselves. Everything else uses `tx.select` and its kin, which see one team.
The name of this module is the review: `every_team.select` in a feature's query needs a reason.
"""

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

__all__ = ["delete", "insert", "select", "update", "upsert"]
