"""Limits: declaration, tightening, and the messages when they are exceeded."""

from __future__ import annotations

import pytest

from offloop import Limits
from offloop.errors import LimitExceeded, SettingsError
from offloop.kinds import catalogue, limits
from offloop.settings import load


def test_single_limits_of_a_kind_are_lowered() -> None:
    declared = catalogue.load()
    kinds = catalogue.load(tightened="hash_file.seconds=1.5, render_pdf.memory_mb=512")
    assert kinds["hash_file"].limits == declared["hash_file"].limits.tightened({"seconds": 1.5}, kind="hash_file")
    assert (kinds["hash_file"].limits.seconds, kinds["render_pdf"].limits.memory_mb) == (1.5, 512)
    assert kinds["transform_image"] == declared["transform_image"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hash_fil.seconds=1", "no 'hash_fil'; did you mean hash_file?"),
        ("hash_file.second=1", "no 'hash_file.second'; did you mean hash_file.seconds?"),
        ("zzz.seconds=1", "there is no 'zzz'; there are "),
        ("hash_file.seconds=99999", "is above the declared"),
        ("render_pdf.fetches=99999", "is above the declared"),
        ("hash_file.seconds=0", "above zero"),
        ("preview_pdf.pages=0", "would mean no limit"),
        ("transform_image.pixels=0.5", "would mean no limit"),
    ],
)
def test_an_invalid_lowered_limit_keeps_the_process_from_starting(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=r"OFFLOOP_LIMITS|limits") as refused:
        catalogue.load(tightened=text)
    assert words in refused.value.message


@pytest.mark.parametrize("text", ["a", "a=1", "a.b", "a.b=x", "a.b=-1", "a.b=inf", "a.b=nan", ".b=1", "a.=1"])
def test_the_setting_names_an_entry_that_is_not_written_as_one(text: str) -> None:
    with pytest.raises(SettingsError, match=r"OFFLOOP_LIMITS: .* is not kind\.limit=number"):
        load({"OFFLOOP_LIMITS": f"hash_file.seconds=1,{text}"})


def test_a_limit_is_given_once() -> None:
    with pytest.raises(SettingsError, match=r"'a\.b' is given twice"):
        load({"OFFLOOP_LIMITS": "a.b=1,a.b=2"})


def test_the_setting_passes_on_to_other_processes() -> None:
    settings = load({"OFFLOOP_LIMITS": "a.b=1,a.c=2"})
    assert load(settings.environment()).limits == settings.limits == "a.b=1,a.c=2"


def test_a_count_that_was_not_limited_may_be() -> None:
    assert Limits().tightened({"pages": 5}, kind="a_kind").pages == 5
    with pytest.raises(SettingsError):
        Limits(pages=3).tightened({"pages": 5}, kind="a_kind")


def test_limits_that_let_nothing_run_are_refused() -> None:
    for changed in ({"seconds": 0}, {"memory_mb": -1}, {"output_mb": 0}, {"fetches": -1}, {"pages": -1}):
        with pytest.raises(SettingsError):
            Limits(**changed)


def test_a_refusal_says_the_limit_its_value_and_what_to_do() -> None:
    with pytest.raises(LimitExceeded, match=r"a_kind made have more than 1 MiB.*output_mb.*ask for less"):
        Limits(output_mb=1).check_total("a_kind", (1 << 20) + 1)
    with pytest.raises(LimitExceeded, match=r"a_kind made more than 2 files.*artifacts.*ask for fewer"):
        Limits(artifacts=2).check_artifacts("a_kind", 3)
    assert "seconds" in limits.NAMES
