"""Properties of the search in the text of PDFs: a text is found in itself, however it is broken into lines."""

from __future__ import annotations

import unicodedata

from hypothesis import assume, given
from hypothesis import strategies as st

from offloop_workers.pdf.reading import searching

TEXTS = st.text(max_size=60)
WORDS = st.lists(st.text("aäßéﬁ縦ב2-", min_size=1, max_size=8), min_size=1, max_size=6)


@given(TEXTS)
def test_every_visible_text_is_found_in_itself(text: str) -> None:
    folded = searching.folded(text)
    assume(folded.strip(" \0"))
    assert searching.pattern(text).search(folded)


@given(TEXTS)
def test_folding_a_folded_text_changes_nothing(text: str) -> None:
    folded = searching.folded(text)
    assert searching.folded(folded) == folded


@given(WORDS, st.data())
def test_a_hyphen_or_line_break_hides_no_word(words: list[str], data: st.DataObject) -> None:
    """Each word is broken at some place, with a hyphen, and may be decomposed."""
    broken = []
    for word in words:
        at = data.draw(st.integers(1, len(word)))
        broken.append(f"{word[:at]}-\n{word[at:]}" if at < len(word) else word)
    text = "\n".join(broken)
    if data.draw(st.booleans()):
        text = unicodedata.normalize("NFD", text)
    assume(not any(word.startswith("-") or word.endswith("-") for word in words))
    assert searching.pattern(" ".join(words)).search(searching.folded(text))
