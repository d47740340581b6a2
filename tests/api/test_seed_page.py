"""The page this product began with: its sample is what the list answers, key by key."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.asking import writing_to
from tests.harness import PERSON, Product, until

SEED = Path(__file__).parents[2].with_name("shared") / "seed"
PAGE = SEED / "list-previous-messages-for-a-phone-number.txt"
RELATIONS = ("team", "chat", "plugin", "contact", "process")


async def test_the_list_answers_exactly_what_the_seed_page_shows(product: Product) -> None:
    sample = sample_of_the_page()
    await product.sandbox_settings(auto_read=False)
    await product.open_window()

    number = product.team.phone_number_id
    await product.api.post(writing_to(number), json={"from": PERSON, "text": "wait"})
    await until(product.listed)
    for words in ("Lets wait", "wait is over"):
        await until(lambda: 50 < product.clock() % 1000 < 600)  # else its moment could be a whole second
        assert (await product.send_text(words)).status_code == 200

    async def as_in_the_sample():
        found = await product.listed()
        arrived = [it["deliveryStatus"] for it in found] == ["DELIVERED"] * 3
        return found if arrived and all(it["process"] for it in found) else None

    found = await until(as_in_the_sample)
    assert [it["text"] for it in found] == [it["text"] for it in sample]
    for ours, theirs in zip(found, sample, strict=True):
        assert json.dumps(outline(ours), indent=1) == json.dumps(outline(theirs), indent=1)
    for relation in RELATIONS:
        assert len({it[relation] for it in found}) == len({it[relation] for it in sample}), relation


def sample_of_the_page() -> list[dict[str, Any]]:
    """The messages of the page's example; it has a comma too many, which JSON does not allow."""
    if not PAGE.exists():
        pytest.skip("the seed page is not in this copy: put shared/seed beside the repository to compare")
    example = re.search(r'^\{\n  "_data".*?^\}', PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert example is not None, "the page has no example of a reply"
    found: list[dict[str, Any]] = json.loads(re.sub(r",(\s*[\]}])", r"\1", example[0]))["_data"]
    assert [it["direction"] for it in found] == ["OUTBOUND", "OUTBOUND", "INBOUND"]
    return found


def outline(value: Any, key: str = "") -> Any:
    """The same with its keys in their order, and of every value only what kind it is of."""
    if isinstance(value, dict):
        return {name: outline(inner, name) for name, inner in value.items()}
    if key == "externalId":
        kind, _, rest = value.partition(".")
        return f"{kind}.{'a UUID' if kind == 'TEST' and UUID(rest) else '…'}"
    if key == "timestamp" and value % 1000 == 0:
        return "seconds, as milliseconds"
    if type(value) is int:
        return "milliseconds" if value > 1_600_000_000_000 else value
    try:
        return "a UUID" if UUID(value) else None
    except (ValueError, AttributeError, TypeError):
        return value
