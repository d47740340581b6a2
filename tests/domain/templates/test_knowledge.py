"""What webhooks and lists say of a template, in any order: one state at the end."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.domain.templates.knowledge import Known, after_list, after_news, changes

Json = dict[str, Any]

ASKED_AT = 1_795_000_000_500
SECOND = 1_000


def listed(asked_at: int = ASKED_AT, **said: Any) -> Known:
    item: Json = {
        "id": "5001",
        "name": "order_update",
        "language": "en_US",
        "status": "PENDING",
        "category": "UTILITY",
        "components": [
            {"type": "BODY", "text": "Hi {{1}}"},
            {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Go", "url": "https://a.example"}]},
        ],
        **said,
    }
    return Known.from_meta(item, waba_id="7001", asked_at=asked_at)


def status(event: str, **more: Any) -> tuple[str, Json]:
    return "message_template_status_update", {"event": event, "reason": "NONE", **more}


def quality(score: str) -> tuple[str, Json]:
    return "message_template_quality_update", {"new_quality_score": score}


def category(**said: str) -> tuple[str, Json]:
    return "template_category_update", said


def components(**said: Any) -> tuple[str, Json]:
    return "message_template_components_update", {f"message_template_{key}": it for key, it in said.items()}


def told(known: Known, *news: tuple[tuple[str, Json], int]) -> Known:
    """After these, each with its second after the list was asked for."""
    for (field, value), second in news:
        known = after_news(known, field, value, at=ASKED_AT - 500 + second * SECOND)
    return known


class TestNews:
    def test_each_field_changes_what_it_speaks_of(self) -> None:
        known = told(
            listed(),
            (status("rejected", reason="PROMOTIONAL"), 1),
            (quality("yellow"), 1),
            (category(previous_category="UTILITY", new_category="MARKETING"), 1),
            (components(element="Dear {{1}}", footer="Bye"), 1),
        )

        assert (known.template.status, known.rejected_reason) == ("REJECTED", "PROMOTIONAL")
        assert known.quality == "YELLOW"
        assert (known.template.category, known.previous_category) == ("MARKETING", "UTILITY")
        assert known.template.body_text == "Dear {{1}}"
        assert known.template.components[-1] == {"type": "FOOTER", "text": "Bye"}

    def test_a_category_to_come_is_noted_and_is_not_yet_the_category(self) -> None:
        warned = told(listed(), (category(correct_category="MARKETING", new_category="UTILITY"), 1))
        moved = told(warned, (category(previous_category="UTILITY", new_category="MARKETING"), 2))

        assert (warned.template.category, warned.correct_category) == ("UTILITY", "MARKETING")
        assert (moved.template.category, moved.correct_category) == ("MARKETING", None)

    def test_detection_alone_is_a_warning_too(self) -> None:
        said = {"category": "UTILITY", "correct_category": "MARKETING"}

        known = after_news(listed(), "template_correct_category_detection", said, at=ASKED_AT + SECOND)

        assert (known.template.category, known.correct_category) == ("UTILITY", "MARKETING")

    @pytest.mark.parametrize("event", ["FLAGGED", "UNARCHIVED", "", None])
    def test_a_warning_is_no_status(self, event: Any) -> None:
        assert told(listed(), (status(event), 1)).template.status == "PENDING"

    def test_a_reinstated_one_is_approved(self) -> None:
        assert told(listed(status="DISABLED"), (status("REINSTATED"), 1)).template.status == "APPROVED"

    def test_a_pause_has_its_sentence_for_a_reason(self) -> None:
        paused = told(
            listed(), (status("PAUSED", other_info={"title": "FIRST_PAUSE", "description": "Low."}), 1)
        )

        assert paused.rejected_reason == "Low."

    def test_buttons_keep_what_webhooks_do_not_tell(self) -> None:
        given = {"message_template_button_type": "URL", "message_template_button_text": "Come"}

        known = told(listed(), (components(buttons=[given]), 1))

        assert known.template.buttons == ({"type": "URL", "text": "Come", "url": "https://a.example"},)

    def test_the_same_news_twice_is_no_news(self) -> None:
        once = told(listed(), (status("APPROVED"), 1))

        assert told(once, (status("APPROVED"), 1)) is once

    def test_old_news_is_no_news(self) -> None:
        assert told(listed(), (status("APPROVED"), -5)) == listed()


ANY_NEWS = [
    *(status(event) for event in ("PENDING", "APPROVED", "PAUSED", "REJECTED", "DISABLED", "FLAGGED")),
    *(quality(score) for score in ("GREEN", "YELLOW", "RED")),
    category(new_category="MARKETING", previous_category="UTILITY"),
    category(new_category="UTILITY", previous_category="MARKETING"),
    category(new_category="UTILITY", correct_category="MARKETING"),
    components(element="Dear {{1}}"),
    components(element="Hello {{1}}", title="News", footer="Bye"),
]


class TestAnyOrder:
    @given(st.lists(st.tuples(st.sampled_from(ANY_NEWS), st.integers(-3, 3)), max_size=5), st.randoms())
    def test_news_in_any_order_and_twice_ends_alike(
        self, news: list[tuple[tuple[str, Json], int]], chance: Any
    ) -> None:
        shuffled = [*news, *chance.sample(news, k=len(news) // 2)]
        chance.shuffle(shuffled)

        assert told(listed(), *shuffled) == told(listed(), *news)

    def test_of_two_statuses_of_one_second_every_order_says_the_same(self) -> None:
        events = ("PENDING", "APPROVED", "PAUSED")
        ends = {
            told(listed(), *((status(event), 1) for event in order)).template.status
            for order in itertools.permutations(events)
        }

        assert ends == {"PAUSED"}


class TestLists:
    def test_a_later_list_is_the_truth(self) -> None:
        paused = told(listed(), (status("PAUSED"), 1))
        later = listed(ASKED_AT + 60_000, status="APPROVED")

        merged = after_list(paused, later)

        assert (merged.template.status, merged.heard) == ("APPROVED", {})
        assert merged.created_at == ASKED_AT

    def test_a_list_asked_for_before_a_webhook_does_not_take_it_back(self) -> None:
        approved = told(listed(), (status("APPROVED"), 60), (quality("GREEN"), 1))
        asked_before = listed(ASKED_AT + 30_000, status="PENDING", quality_score={"score": "RED"})

        merged = after_list(approved, asked_before)

        assert (merged.template.status, merged.quality) == ("APPROVED", "RED")

    def test_an_older_list_that_comes_later_changes_nothing(self) -> None:
        known = listed(ASKED_AT + 1, status="APPROVED")

        assert after_list(known, listed()) is known

    def test_the_same_list_again_is_no_change(self) -> None:
        again = after_list(listed(), listed(ASKED_AT + 5))

        assert (again.updated_at, again.synced_at) == (ASKED_AT, ASKED_AT + 5)
        assert list(changes(listed(), again)) == []


def test_changes_say_what_was_and_what_is() -> None:
    before = listed(quality_score={"score": "GREEN"})
    after = told(
        before,
        (status("REJECTED", reason="SCAM"), 1),
        (quality("RED"), 1),
        (category(new_category="MARKETING"), 1),
    )

    assert dict(changes(before, after)) == {
        "template.status_changed": {"was": "PENDING", "is": "REJECTED", "reason": "SCAM"},
        "template.quality_changed": {"was": "GREEN", "is": "RED"},
        "template.category_changed": {"was": "UTILITY", "is": "MARKETING"},
    }
