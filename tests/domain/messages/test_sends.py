"""What is written down of a send before and after Meta is asked, whatever the database does meanwhile."""

from samvad.domain.messages import sends
from samvad.domain.messages.sends import Answered, Begun
from samvad.domain.messages.tables import idempotency_keys, messages
from samvad.kit.errors import Conflict
from tests.domain.quick import Small


async def test_an_order_is_begun_once_more_where_nobody_heard_of_its_commit_and_stands_as_it_was(
    small: Small,
):
    """So that its key is not taken by a send that nobody carries out."""
    ours, another = small.order("hello", key="a key"), small.order("hello", key="a key")

    first = await small.res.db.write(sends.begin, [ours])
    again = await small.res.db.write(sends.begin, [ours, another])

    assert isinstance(first[0], Begun)
    assert isinstance(again[0], Begun)
    assert first[0].order is again[0].order is ours
    assert again[0].contact == first[0].contact
    assert isinstance(again[1], Conflict), "another request under the key is refused as ever"
    assert [row.id for row in await small.rows(messages)] == [ours.id]
    assert (await small.row(idempotency_keys)).message_id == ours.id


async def test_an_answer_that_is_written_once_more_frees_no_key_that_is_anothers_by_now(small: Small):
    """Nobody heard of the first commit; meanwhile the client repeated the refused send under its key."""
    ours, repeated = small.order("hello", key="a key"), small.order("hello", key="a key")
    refused = Answered(ours, None, None, None, {"message": "no"}, small.clock())
    await small.res.db.write(sends.begin, [ours])
    await small.res.db.write(sends.finish, [refused])
    await small.res.db.write(sends.begin, [repeated])

    await small.res.db.write(sends.finish, [refused])

    assert (await small.row(idempotency_keys)).message_id == repeated.id
