"""Ids that sort by age: UUIDv7."""

import re
from uuid import UUID

import uuid_utils

_shape = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> str:
    """A new UUIDv7, 36 characters; ids of one process ascend in the order they were made."""
    return str(uuid_utils.uuid7())


def new_id_after(last: str | None) -> str:
    """A new id that sorts after this one too, which a clock that is ahead of ours may have made."""
    made = new_id()
    return made if last is None or made > last else str(UUID(int=UUID(last).int + 1))


def is_id(value: str) -> bool:
    """Whether this could be one of our ids, so that a stranger's text never reaches a query as one."""
    return _shape.fullmatch(value) is not None


def oldest_id(at: int) -> str:
    """The least id that could be made at this moment (epoch milliseconds): all older ones sort before it."""
    word = f"{max(at, 0):012x}"
    return f"{word[:8]}-{word[8:]}-7000-8000-000000000000"


def made_at(id: str) -> int:
    """When one of our ids was made, in epoch milliseconds."""
    return int(id[:8] + id[9:13], 16)
