"""Ids that sort by age: UUIDv7."""

import uuid_utils


def new_id() -> str:
    """A new UUIDv7, 36 characters; ids of one process ascend in the order they were made."""
    return str(uuid_utils.uuid7())


def is_id(value: str) -> bool:
    """Whether this could be one of our ids, so that a stranger's text never reaches a query as one."""
    return len(value) == 36 and value.count("-") == 4
