"""What is pinned is pinned once and whole."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.sources import FUNCTIONS, LAYER, ROOT

GROUPS: dict[str, list[Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def pins(file: Path) -> dict[str, str]:
    """Read the versions of a file of exact pins."""
    lines = [line for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    found = [re.fullmatch(r"([a-z0-9.-]+)==([0-9][0-9a-z.]*)", line) for line in lines]
    assert all(found), "a line that is not name==version"
    names = [match[1] for match in found if match]
    assert len(set(names)) == len(names), "a package is there twice"
    return {match[1]: match[2] for match in found if match}


def group(name: str) -> list[Requirement]:
    """Read a dependency group with those that it includes."""
    found = []
    for entry in GROUPS[name]:
        found += [Requirement(entry)] if isinstance(entry, str) else group(entry["include-group"])
    return found


def closure(wanted: list[Requirement], python: str) -> set[str]:
    """Name what the installed packages say that `wanted` needs, on Linux with a version of Python."""
    environment = {**LINUX, "python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(wanted)
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for needed in map(Requirement, declared(name)):
            markers = [environment | {"extra": extra} for extra in extras or {""}]
            if needed.marker is None or any(needed.marker.evaluate(marker) for marker in markers):
                waiting.append(needed)
    return {name for name, _ in seen}


def declared(name: str) -> list[str]:
    """Read what a package needs. One that only another Python needs is not installed, so nothing tells."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-sam.txt"])
def test_pins_are_in_the_order_of_names(file: str) -> None:
    names = list(pins(ROOT / file))

    assert names == sorted(names)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_package_that_is_installed_is_pinned(python: str) -> None:
    assert closure(group("dev"), python) - set(pins(ROOT / "constraints.txt")) == set()


def test_every_pin_is_of_a_package_that_is_needed() -> None:
    needed = set().union(*(closure(group("dev"), python) for python in PYTHONS))

    assert set(pins(ROOT / "constraints.txt")) - needed == {"pip"}


def test_the_layer_ships_what_its_packages_need_in_the_tested_versions() -> None:
    shipped = pins(LAYER / "requirements.txt")
    tested = pins(ROOT / "constraints.txt")

    assert shipped == {name: tested[name] for name in closure(group("runtime"), "3.13")}


def test_the_console_ships_what_it_needs_besides_the_layer_in_the_tested_versions() -> None:
    shipped = pins(FUNCTIONS / "console" / "requirements.txt")
    tested = pins(ROOT / "constraints.txt")
    needed = closure([Requirement("markdown-it-py"), Requirement("pygments")], "3.13")

    assert shipped == {name: tested[name] for name in needed}


def test_the_layer_hides_no_package_that_the_runtime_brings() -> None:
    assert not {"boto3", "botocore", "s3transfer"} & set(pins(LAYER / "requirements.txt"))
