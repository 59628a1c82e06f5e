"""What holds for every pipeline of the project: definition, lint, policies, template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mlops_kit import catalog
from mlops_kit.build.exported import restored
from mlops_kit.build.lint import lint
from mlops_kit.build.template import build
from mlops_kit.pipeline import FOUNDATION_TOKENS, Pipeline
from mlops_kit.settings import Settings
from tests.golden import write
from tests.policies import findings, policies, stars

SETTINGS = Settings()


@pytest.fixture(params=[entry.name for entry in catalog.entries()])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return catalog.build(SETTINGS, request.param)


def test_the_definition_is_the_one_that_was_agreed_on(pipeline: Pipeline) -> None:
    agreed = (write.FOLDER / f"{pipeline.name}.asl.json").read_text()
    assert write.text(pipeline) == agreed, "if this is meant: python -m tests.golden.write, and read the diff"


def test_the_linter_has_nothing_to_say(pipeline: Pipeline) -> None:
    assert not list(lint(pipeline))


def test_a_policy_linter_finds_nothing_but_what_has_a_written_reason(pipeline: Pipeline) -> None:
    found = policies(pipeline)
    assert "StateMachinePolicy" in found
    for name, policy in found.items():
        assert findings(json.dumps(policy)) == [], name


def test_a_star_stands_only_where_a_reason_is_written_down(pipeline: Pipeline) -> None:
    for name, policy in policies(pipeline).items():
        assert stars(policy) == [], name


@pytest.mark.slow
def test_cfn_lint_finds_nothing(pipeline: Pipeline) -> None:
    from cfnlint.api import lint as cfn_lint

    template = json.dumps(build(SETTINGS, pipeline).template)
    found = cfn_lint(template, None, ["eu-central-1", "us-east-1"])
    assert [f"{one.rule.id} {one.path}: {one.message}" for one in found] == []


def test_a_definition_that_was_exported_gets_back_what_it_had(pipeline: Pipeline) -> None:
    """Also where states were renamed: nothing but a pseudo parameter may stay as a plain value then."""
    resources = build(SETTINGS, pipeline).template["Resources"]
    project = SETTINGS.project
    known = {name: f"{project}-{pipeline.name}-{name}-1A2B" for name in resources}
    known |= {name: f"{project}-foundation-{name.lower()}-3c4d" for name in FOUNDATION_TOKENS}
    known |= {"EventBus": project}
    known |= {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "000000000000"}
    machine = resources["StateMachine"]["Properties"]
    text = machine["DefinitionString"]
    for key, value in machine.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{key}}}", referred(value, known))
    assert not re.search(r"\$\{[A-Z]", text)
    exported = replace(pipeline, definition=json.loads(text))
    agreed = json.loads(json.dumps(pipeline.definition))
    assert restored(exported, project, machine["DefinitionString"], known) == agreed
    assert restored(pipeline, project, machine["DefinitionString"], known) == agreed
    elsewhere = restored(
        replace(pipeline, definition={"States": {"Moved": json.loads(text)}}), project, "{}", known
    )
    had, has = (set(re.findall(r"\$\{([A-Z]\w+)\}", json.dumps(one))) for one in (agreed, elsewhere))
    assert had - has <= {"EventBus"}, "the bus is named as the project"


def referred(value: Any, known: Mapping[str, str]) -> str:
    """What ``Ref``, or ``Fn::GetAtt`` of an ARN, gives."""
    if "Ref" in value:
        return known[value["Ref"]]
    name, _ = value["Fn::GetAtt"]
    kind = "iam::000000000000:role/" if name.endswith("Role") else "lambda:us-east-1:000000000000:function:"
    return f"arn:aws:{kind}{known[name]}"
