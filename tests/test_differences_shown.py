"""Texts beside each other, as pages show them: nothing is left out, nothing is added, and only what differs is marked."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.views.differences import difference, side_by_side

TEXTS = st.text(alphabet=st.sampled_from("ab é\n.,ก。日<&"), max_size=40)


@given(TEXTS, TEXTS)
def test_what_stayed_and_what_is_new_is_the_new_text_and_what_stayed_and_is_gone_the_old(before: str, after: str) -> None:
    pieces = difference(before, after)

    assert "".join(text for text, kind in pieces if kind != "gone") == after
    assert "".join("".join(text for text, kind in pieces if kind != "new").split()) == "".join(before.split())


@given(TEXTS, TEXTS)
def test_side_by_side_each_text_is_whole(one: str, other: str) -> None:
    left, right = side_by_side(one, other)

    assert "".join(text for text, _ in left) == one
    assert "".join(text for text, _ in right) == other


@pytest.mark.parametrize(
    ("before", "after", "gone", "new"),
    [
        ("Within 14 days, unworn.", "Within 30 days, unworn.", ["14 "], ["30 "]),
        ("退货需要七天。", "退货需要九天。", ["七"], ["九"]),
        ("same", "same", [], []),
        ("", "new text", [], ["new text"]),
    ],
)
def test_the_changed_words_are_marked_and_no_others(before: str, after: str, gone: list[str], new: list[str]) -> None:
    pieces = difference(before, after)

    assert [text for text, kind in pieces if kind == "gone"] == gone
    assert [text for text, kind in pieces if kind == "new"] == new


def test_case_and_marks_at_the_ends_of_words_are_no_difference_between_two_answers() -> None:
    _, right = side_by_side("Yes, within 14 days.", "yes within 30 days!")

    assert [text for text, differs in right if differs] == ["30 "]


def test_the_longest_texts_are_compared_in_good_time() -> None:
    before, after = ("".join(f"{word}{n % 7} " for n in range(4000)) for word in ("old", "new"))
    started = time.thread_time()

    pieces = difference(before[:20_000], after[:20_000])

    assert {kind for _, kind in pieces} == {"gone", "new"}
    assert time.thread_time() - started < 10
