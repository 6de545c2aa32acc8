"""Set-up as a newcomer meets it: the script runs anywhere, the lock is complete, the containers' files are valid."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from offloop.settings import Settings
from support.programs import needs

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
ESSENTIAL = {"bash", "coreutils", "dash"}
"""Packages that every Debian has."""


def locked() -> dict[str, list[str]]:
    """Each entry of the lock, ``name==version ; marker``, with its hashes."""
    entries: dict[str, list[str]] = {}
    for statement in LOCK.read_text().replace("\\\n", " ").splitlines():
        if statement.strip() and not statement.startswith("#"):
            entry, *hashes = statement.split("--hash=")
            entries[entry.strip()] = [value.strip() for value in hashes]
    return entries


def wanted() -> list[Requirement]:
    """Requirements of pyproject.toml: dependencies, every extra, the dev group and the build back end."""
    file = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = file["project"]
    lines = [*project["dependencies"], *file["dependency-groups"]["dev"], *file["build-system"]["requires"]]
    for extra in project["optional-dependencies"].values():
        lines += extra
    requirements = map(Requirement, lines)
    return [requirement for requirement in requirements if requirement.name != project["name"]]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_every_entry_of_the_lock_has_one_exact_version_and_hashes() -> None:
    entries = locked()
    assert entries
    for entry, hashes in entries.items():
        assert re.fullmatch(r"[a-z0-9-]+==[^\s;*]+( ;.*)?", entry), entry
        assert hashes, f"{entry} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), entry


def test_the_lock_names_no_address_and_no_folder() -> None:
    for word in ("://", " @ ", "file:", "index-url", "find-links", "-e "):
        assert word not in LOCK.read_text(), f"{word!r} ties the lock to one machine or registry"


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_the_lock_satisfies_what_pyproject_asks_for(requirement: Requirement) -> None:
    """Run `./run lock` after a change to the dependencies, when this fails."""
    pins = [Requirement(entry) for entry in locked()]
    versions = [
        Version(specifier.version)
        for pin in pins
        if canonicalize_name(pin.name) == canonicalize_name(requirement.name)
        for specifier in pin.specifier
    ]
    assert versions, f"{requirement.name} is not locked; ./run lock adds it"
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), versions


@pytest.mark.parametrize("shell", ["sh", "dash", "busybox", "bash"])
def test_the_script_run_is_understood_by_every_common_shell(shell: str) -> None:
    needs("bash busybox dash", shell)
    applet = ["sh"] if shell == "busybox" else ["--posix"] if shell == "bash" else []
    outcome = run(shell, *applet, "-n", ROOT / "run")
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_system_packages_are_only_named_when_the_operator_opts_out(tmp_path: Path) -> None:
    """The functions of the script, with an apt-get that leaves a file."""
    functions = (ROOT / "run").read_text("utf-8").rpartition("\ncase ")[0]
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    apt_get.chmod(0o755)
    path = f"PATH={tmp_path}{os.pathsep}{os.environ['PATH']}"
    outcome = run("/usr/bin/env", path, "SYSTEM_PACKAGES=0", "sh", "-c", f"{functions}\napt one two", ROOT / "run")
    assert outcome.returncode == 1
    assert "sudo apt-get install one two" in outcome.stderr
    assert not (tmp_path / "ran").exists()


def test_missing_libraries_are_asked_for_at_each_start_without_a_new_set_up(tmp_path: Path) -> None:
    """The functions of the script, after a finished set-up; the second answer of `libraries` is that all are there."""
    functions = (ROOT / "run").read_text("utf-8").rpartition("\ncase ")[0]
    steps = f"""{functions}
    VENV={tmp_path}
    is_ready() {{ return 0; }}
    install() {{ echo installs; }}
    libraries() {{ echo asks; [ -f {tmp_path}/there ]; }}
    setup; echo ends $?; touch {tmp_path}/there; setup; setup"""
    outcome = run("sh", "-c", steps, ROOT / "run")
    assert (outcome.stdout.split(), outcome.stderr) == (["asks", "ends", "0", "asks"], "")


def test_an_interpreter_is_the_same_under_each_of_its_names(tmp_path: Path) -> None:
    """Debian's python3 is a link, and an environment names the file behind it."""
    functions = (ROOT / "run").read_text("utf-8").rpartition("\ncase ")[0]
    (tmp_path / "one").touch()
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "three").touch()
    steps = f"""{functions}
    VENV={tmp_path}/venv
    base_of() {{ case $1 in "$VENV"/*) echo {tmp_path}/one 3 13 5 ;; *) echo "$1" 3 13 5 ;; esac; }}
    for PYTHON in {tmp_path}/one {tmp_path}/two {tmp_path}/three; do is_of_python && echo "${{PYTHON##*/}}"; done"""
    assert run("sh", "-c", steps, ROOT / "run").stdout.split() == ["one", "two"]


def test_the_check_of_all_pythons_names_those_it_does_not_find() -> None:
    needs("bash", "bash")
    outcome = run("/usr/bin/env", "PYTHONS=/no/such/python 2.6", "bash", ROOT / ".ci/pythons")
    assert outcome.returncode == 1
    assert outcome.stdout.startswith("not found: /no/such/python 2.6 ")


def test_a_python_that_does_not_work_is_refused_by_name() -> None:
    outcome = run("/usr/bin/env", "PYTHON=/no/such/python", ROOT / "run", "lock")
    assert outcome.returncode == 1
    assert "PYTHON=/no/such/python is not a working Python 3.11 or newer" in outcome.stderr


def test_the_clean_machine_has_every_package_that_a_test_needs() -> None:
    """Each word of a ``needs`` call is in ``.ci/run``, except what every Debian has."""
    calls = [
        node
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "needs"
    ]
    needed = {word for call in calls for word in ast.literal_eval(call.args[0]).split()}
    assert needed > ESSENTIAL
    assert needed - ESSENTIAL <= set(re.findall(r"[\w-]+", (ROOT / ".ci" / "run").read_text()))


@pytest.mark.parametrize("profiles", [(), ("s3",)], ids=["default", "s3"])
def test_the_compose_file_is_valid(profiles: tuple[str, ...]) -> None:
    needs("docker-compose", "docker-compose")
    chosen = [f"--profile={profile}" for profile in profiles]
    outcome = run("docker-compose", "-f", ROOT / "compose.yaml", *chosen, "config", "-q")
    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml"])
def test_images_are_named_with_registry_and_version(file: str) -> None:
    text = (ROOT / file).read_text()
    names = re.findall(r"^(?:FROM|\s+image:) +(\S+)", text, re.MULTILINE)
    foreign = [name for name in names if name != "offloop:latest"]
    assert foreign
    for name in foreign:
        assert re.fullmatch(r"docker\.io/[\w./-]+:[\w.-]+", name), name


def test_containers_use_only_settings_that_exist() -> None:
    known = {Settings.variable(name) for name in Settings.model_fields}
    for file in ("Dockerfile", "compose.yaml"):
        used = set(re.findall(r"OFFLOOP_[A-Z_]+", (ROOT / file).read_text()))
        assert used <= known, f"{file} sets {used - known}"
