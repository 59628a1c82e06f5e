"""What holds for every pipeline of the project: definition, lint, policies, template."""

from __future__ import annotations

import json

import pytest

from mlops_kit import catalog
from mlops_kit.build.lint import lint
from mlops_kit.build.template import build
from mlops_kit.pipeline import Pipeline
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
