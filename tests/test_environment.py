"""The two ways to the environment give the same one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from tests.sync_environment import ROOT, environment


def lines(path: Path) -> list[Requirement]:
    return [Requirement(line) for line in path.read_text().splitlines() if line and not line.startswith("#")]


def test_environment_yml_holds_the_pins_of_the_lock() -> None:
    text = (ROOT / "environment.yml").read_text()
    assert text == environment((ROOT / "requirements.lock").read_text())
    pip = yaml.safe_load(text)["dependencies"][-1]["pip"]
    assert pip[:-1] == [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line]


def test_every_declared_dependency_is_locked_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    locked = {pin.name.lower(): pin for pin in lines(ROOT / "requirements.lock")}
    for requirement in map(Requirement, declared):
        pin = locked[requirement.name.lower()]
        version = next(iter(pin.specifier)).version
        assert requirement.specifier.contains(version), f"{requirement} does not hold {version}"


def test_every_pin_is_exact_and_from_the_index() -> None:
    for pin in lines(ROOT / "requirements.lock"):
        assert pin.url is None
        assert [spec.operator for spec in pin.specifier] == ["=="], pin
