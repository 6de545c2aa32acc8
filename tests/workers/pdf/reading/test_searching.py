"""Search: the same words are found whatever characters and line ends they were set with."""

# ruff: noqa: RUF001 -- characters that look alike are the subject
from __future__ import annotations

from pathlib import Path

import pytest

from offloop.errors import JobError
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.reading import searching
from offloop_workers.pdf.reading.text import read
from support.files import pdfs, small_pdfs


def _finds(wanted: str, text: str) -> bool:
    return searching.pattern(wanted).search(searching.folded(text)) is not None


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("well-known", "a well-\nknown fact"),
        ("wellknown", "a well-\nknown fact"),
        ("device", "a de-\nvice"),
        ("state-of-the-art", "state-of-\nthe-art"),
        ("2020-2021", "of 2020–2021"),
        ("2020–2021", "of 2020-\n2021"),
        ("example", "exam\u00ad\nple"),
        ("example", "ex\u00adam\u00adple"),
        ("co-operate", "co\u00adoperate"),
        ("difficult office", "diﬃcult oﬃce"),
        ("ﬁnd", "Find"),
        ("é", "e\u0301"),
        ("e\u0301tage", "ÉTAGE"),
        ("développement naïve", "d´eveloppement na¨ıve"),
        ("Škoda", "ˇSkoda"),
        ("STRASSE", "Straße"),
        ("straße", "STRASSE"),
        ("σας", "ΣΑΣ"),
        ("10 km", "10\u00a0km"),
        ("two words", "two\n  words"),
        ("two   words", "two\u2009words"),
        ("zero width", "ze\u200bro wi\u2060dth"),
        ("don't", "don’t"),
        ('"quoted"', "“quoted”"),
        ("ABC 123", "ＡＢＣ　１２３"),
        ("x2", "x²"),
        ("سلام", "ﺳﻼم"),
        ("縦書きの文", "縦書\nきの文"),
        ("a.b(c", "A.B(C"),
        ("word – word", "word –\nword"),
        ("1/2", "½"),
        ("https://example.com/a/path", "https://example.com/\na/path"),
        ("istanbul", "İSTANBUL"),
        ("İstanbul", "istanbul"),
        ("dış", "DIŞ"),
        ("ภาษาไทย", "ภาษา\nไทย"),
        ("محمد", "مُحَمَّد"),
        ("שלום", "שָׁלוֹם"),
    ],
)
def test_the_same_words_are_found(wanted: str, text: str) -> None:
    assert _finds(wanted, text)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [("wellknown", "well-known"), ("ab", "a b"), ("a.b", "axb"), ("resume", "résumé"), ("fin", "f-in")],
)
def test_other_words_are_not_found(wanted: str, text: str) -> None:
    assert not _finds(wanted, text)


def test_a_search_without_a_visible_character_is_refused() -> None:
    for wanted in (" ", "\u00ad", "\u200b\ufeff"):
        with pytest.raises(JobError, match="no visible character"):
            searching.pattern(wanted)


def test_a_search_takes_time_in_proportion_to_the_text() -> None:
    assert not _finds("a-" * 99 + "b", "a-" * 50_000)
    assert not _finds("-" * 200 + "b", "-" * 50_000)


def test_the_text_that_is_returned_has_its_hyphens_and_line_ends(tmp_path: Path) -> None:
    context: JobContext = pdfs.context_in(tmp_path)
    run = pdfs.runner(read, context, tmp_path)
    source = small_pdfs.page(
        small_pdfs.words((40, 540, "A well-"), (40, 522, "known de-"), (40, 504, "vice of 555-"), (40, 486, "1234"))
    )
    assert run(source).texts[0].text == "A well-\nknown de-\nvice of 555-\n1234"
    assert run(source, layout=True).texts[0].text == run(source).texts[0].text
    for wanted, found in {"well-known device": 1, "555-1234": 1, "wellknown": 1, "well known": 0}.items():
        assert len(run(source, search=wanted).texts) == found, wanted
    assert context.warnings == []
