"""Statuses in every order. Pure rules: no database."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.domain.messages.model import News, Progress, Status

WORDS = (Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED)
FRESH = Progress("a message", "a team", None, Status.SENDING)


def news(status: Status, at: int | None = None) -> News:
    error = {"message": "no"} if status is Status.FAILED else None
    return News("a team", "wamid.1", status, status * 10 if at is None else at, error)


def end(heard) -> Progress:
    message = FRESH
    for it in heard:
        message = message.after(it)
    return message


@pytest.mark.parametrize(
    "order", list(itertools.permutations(WORDS)), ids=lambda it: " ".join(w.name for w in it)
)
def test_every_order_of_the_four_ends_alike(order):
    assert end(map(news, order)) == end(map(news, WORDS))
    assert end(map(news, order)).status is Status.READ


@given(heard=st.lists(st.builds(news, st.sampled_from(WORDS), st.integers(1, 50))), data=st.data())
def test_any_news_in_any_order_with_any_repetition_ends_alike(heard, data):
    again = data.draw(
        st.permutations(heard + data.draw(st.lists(st.sampled_from(heard or [news(Status.SENT)]))))
    )

    assert end(again) == end([*heard, *(it for it in again if it not in heard)])


@given(heard=st.lists(st.builds(news, st.sampled_from(WORDS), st.integers(1, 50)), min_size=1))
def test_knowledge_only_grows(heard):
    message = FRESH
    for it in heard:
        after = message.after(it)
        assert after.status >= message.status
        assert after.heard(it.status)
        assert after.after(it) is after, "the same news twice is no news"
        message = after


def test_a_message_that_arrived_has_arrived_whatever_else_is_said():
    assert end([news(Status.FAILED), news(Status.DELIVERED)]).status is Status.DELIVERED
    assert end([news(Status.DELIVERED), news(Status.FAILED)]).status is Status.DELIVERED
    assert end([news(Status.SENT), news(Status.FAILED)]).status is Status.FAILED


def test_of_each_step_the_earliest_moment_counts():
    assert end([news(Status.READ, 9), news(Status.READ, 4), news(Status.READ, 7)]).read_at == 4


def test_a_refusal_names_no_message_of_metas():
    refused = FRESH.after(News("a team", None, Status.FAILED, 1, {"message": "no"}, "a message"))

    assert refused.wamid is None
    assert refused.status is Status.FAILED
