"""What we rely on inside ministack, which promises none of it: a release breaks this and not the house."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from mlops_kit.local.corrections.background import PLACES
from mlops_kit.local.corrections.states import Adapter
from mlops_kit.local.ministack import SHARING
from mlops_kit.local.ministack_names import NAMES

ROOM = Path(str(importlib.import_module("ministack").__file__)).parent


@pytest.mark.parametrize("name", [f"{room}:{name}" for room, names in NAMES.items() for name in names])
def test_the_inner_names_that_we_use_are_there(name: str) -> None:
    room, _, inner = name.partition(":")
    assert hasattr(importlib.import_module(f"ministack.{room}"), inner)


@pytest.mark.parametrize("name", [f"{room}:{name}" for room, names in PLACES.items() for name in names])
def test_what_changes_in_the_background_is_there(name: str) -> None:
    room, _, inner = name.partition(":")
    assert callable(getattr(importlib.import_module(f"ministack.{room}"), inner))


def test_everything_that_neighbours_ask_of_step_functions_our_adapter_has() -> None:
    asked = set()
    for path in ROOM.rglob("*.py"):
        if path.name != "stepfunctions.py":
            asked |= set(re.findall(r"\b_sfn\.(\w+)", path.read_text()))
    assert asked  # the import's name in ministack is still _sfn
    assert {name for name in asked if not hasattr(Adapter().module, name)} == set()


def test_a_contract_of_every_name_that_our_source_takes() -> None:
    """Each private attribute of a ministack module that our modules name is listed in NAMES or PLACES."""
    listed = {name for names in NAMES.values() for name in names} | {n for p in PLACES.values() for n in p}
    local = Path(__file__).parents[2] / "mlops_kit" / "local"
    sources = [local / "ministack.py", local / "lambda_seam.py", *(local / "corrections").glob("*.py")]
    missing = {}
    for path in sources:
        taken = set(re.findall(r"module\([^)]*\)\.(_\w+)", path.read_text()))
        taken |= set(
            re.findall(
                r"\b(?:stacks|provisioners|changesets|engine|persistence|service)\.(_[a-z]\w+)",
                path.read_text(),
            )
        )
        if taken - listed:
            missing[path.name] = taken - listed
    assert missing == {}


@pytest.mark.parametrize("name", SHARING)
def test_a_state_that_is_encoded_without_a_copy_is_only_read(name: str) -> None:
    module = importlib.import_module(f"ministack.services.{name}")
    tree = ast.parse(inspect.getsource(module.get_state))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    harmless = {
        "copy.deepcopy",
        "AccountRegionScopedDict",
        "tables.set_scoped",
        "_tables.all_items",
        "table.items",
    }
    assert called - harmless <= {"store"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Delete | ast.AugAssign)]
