"""Patterns: which engine runs them, why, and what is wrong with those that do not compile."""

from __future__ import annotations

import pytest

from offloop.errors import JobError
from offloop_workers.search import characters, engines
from offloop_workers.search.dialect import parse
from offloop_workers.search.engines import compiled
from offloop_workers.search.writer import Reading


@pytest.mark.parametrize(
    ("pattern", "reading", "reason"),
    [
        (r"\b(?P<a>x+)(?i:y|z)*?[^\d\s]{2,5}$", Reading(), None),
        (r"(a+)+$", Reading(), None),
        ("x" * 10_000, Reading(ignore_case=True), None),
        (r"(a)\1", Reading(), "a backreference"),
        ("a(?=b)", Reading(), "look-ahead or look-behind"),
        ("(?<!a)b", Reading(), "look-ahead or look-behind"),
        ("(a)?(?(1)b|c)", Reading(), "a condition on a group"),
        ("(?>a+)b", Reading(), "an atomic group"),
        ("a++b", Reading(), "a possessive repetition"),
        ("(a*)*b", Reading(), "a repeated part that may be empty"),
        ("a{1001}", Reading(), "a repetition of more than 1,000 times"),
        (r"\B", Reading(), r"\B, which RE2 finds inside of characters"),
        (r"\w", Reading(unicode=True), r"\w with unicode"),
        ("a", Reading(unicode=True, word=True), r"Unicode word boundaries (\b or word, with unicode)"),
        ("x{1000}" * 20, Reading(), None),
        ("(?:x{1000}){1000}", Reading(), "RE2 refuses it (invalid repetition size)"),
    ],
)
def test_re2_runs_what_it_can_and_the_reason_names_the_part_it_cannot(
    pattern: str, reading: Reading, reason: str | None
) -> None:
    program = compiled(parse(1, pattern, reading))
    assert (program.engine, program.reason) == ("re2" if reason is None else "re", reason)


def test_patterns_share_the_memory_of_re2_and_run_in_re_where_it_does_not_suffice() -> None:
    large = parse(1, "[^a]{1000}" * 90, Reading())
    assert compiled(large).engine == "re2"
    program = compiled(large, 20)
    assert (program.engine, program.reason_is_part) == ("re", False)
    assert (program.reason or "").startswith("RE2 refuses it (pattern too large")
    assert compiled(parse(1, "[^a]{1000}" * 12, Reading()), 20).engine == "re2"


def test_every_pattern_runs_without_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "re2", None)
    program = compiled(parse(1, "a+", Reading()))
    assert (program.engine, program.reason) == ("re", "google-re2 is not installed on this worker")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("a(b", ("missing ), unterminated subpattern at position 1, in a(b", r"write \( for a parenthesis")),
        ("a)", ("unbalanced parenthesis at position 1", r"write \) for a parenthesis")),
        ("[a", ("unterminated character set at position 0", r"write \[ for a bracket")),
        ("*a", ("nothing to repeat at position 0", r"write \*")),
        ("a**", ("multiple repeat at position 2", "put the first one into a group")),
        (r"\p{L}", (r"bad escape \p at position 0", "not in Python's syntax")),
        ("a(?i)", ("global flags not at the start", "put (?i) at the start")),
        ("(?<=a*)b", ("look-behind requires fixed-width pattern", "correct it")),
        ("[[:alpha:]]", ("[:alpha:], which is POSIX", "write [a-z]")),
        ("(" * 5000 + ")" * 5000, ("nested too deeply",)),
        ("(?P<a>x)(?P<a>y)", ("redefinition of group name 'a'", "fixed=true")),
        ("a{99999999999}", ("nested too deeply or repeats too often",)),
    ],
)
def test_a_pattern_that_does_not_compile_is_refused_with_place_and_remedy(pattern: str, words: tuple[str, ...]) -> None:
    with pytest.raises(JobError) as failed:
        compiled(parse(3, pattern, Reading()))
    assert failed.value.reason == "bad_input"
    assert failed.value.message.startswith("Pattern 3")
    for text in words:
        assert text in failed.value.message
    assert len(failed.value.message) < 400


def test_a_set_behind_an_escaped_bracket_is_no_posix_class() -> None:
    assert compiled(parse(1, r"\[[:x:]", Reading())).engine == "re2"
    with pytest.raises(JobError, match=r"has \[:x:\], which is POSIX"):
        parse(1, r"\\[[:x:]]", Reading())


def test_groups_have_their_names_or_numbers() -> None:
    assert parse(1, "(a)(?P<b>c)(?:d)((e))", Reading()).groups == ("1", "b", "3", "4")


def test_sets_of_characters_are_a_boolean_algebra_without_surrogates() -> None:
    some = characters.ranges([(97, 99), (100, 101), (48, 57), (50, 60)])
    assert some == ((48, 60), (97, 101))
    assert characters.complement(characters.complement(some)) == some
    assert characters.complement(characters.ALL) == ()
    assert not characters.contains(characters.ALL, 0xD800)
    assert characters.without(some, "a") == ((48, 60), (98, 101))
    assert characters.folded(characters.ranges([(ord("s"), ord("s"))])) == ((83, 83), (115, 115), (0x17F, 0x17F))


def test_the_table_of_cases_has_every_character_with_another_case() -> None:
    folds = characters.folds()
    for code in {*range(0x110000)} - {0x131}:  # the i without a dot folds to itself
        character = chr(code)
        if any(len(other) == 1 and other != character for other in (character.lower(), character.upper())):
            assert code in folds, hex(code)
