"""Families: each shipped kind and tool belongs to one or is always listed, and a choice shows only its members."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter

import offloop_server
from offloop import Model, declare
from offloop.kinds import catalogue
from offloop.kinds.options import FAMILIES, Family
from offloop_server.toolkit.families import Families
from offloop_server.toolkit.light_tool import LightTool

ALWAYS = {"job_status", "wait_for_jobs", "list_jobs", "cancel_job", "run_batch"} | {
    "create_upload",
    "read_artifact",
    "delete_artifact",
}


class Nothing(Model):
    """No fields."""


def light_tools() -> dict[str, Family | None]:
    """Names and families of the tools that the front end answers itself."""
    modules = pkgutil.walk_packages(offloop_server.__path__, f"{offloop_server.__name__}.")
    found = [value for module in modules for value in vars(importlib.import_module(module.name)).values()]
    tools = {value for value in found if isinstance(value, type) and issubclass(value, LightTool)}
    return {tool.name: tool.family for tool in tools if "name" in vars(tool)}


def test_every_shipped_kind_is_in_a_family_and_every_light_tool_is_in_one_or_always_listed() -> None:
    """A shipped kind without a family could not be switched off."""
    families = Counter(kind.family for kind in catalogue.load().values())
    assert families[None] == 0
    tools = light_tools()
    assert {name for name, family in tools.items() if family is None} == ALWAYS
    families += Counter(family for family in tools.values() if family is not None)
    assert set(families) == set(FAMILIES), "a family without a kind or tool"


def test_a_choice_lists_its_families_and_members_of_none() -> None:
    pdf = declare("do_pdf", Nothing, Nothing, description="d", family="pdf")
    http = declare("do_http", Nothing, Nothing, description="d", family="http")
    own = declare("do_own", Nothing, Nothing, description="d")
    assert Families(()).offered([pdf, http, own]) == [pdf, http, own]
    assert Families(["http"]).offered([pdf, http, own]) == [http, own]
    assert not Families(["http"]).offers(pdf)


def test_a_chosen_family_without_a_tool_is_named() -> None:
    pdf = declare("do_pdf", Nothing, Nothing, description="d", family="pdf")
    assert Families(["sql", "pdf", "gather"]).empty([pdf]) == ["gather", "sql"]
