"""What changes is told property by property, and only what really changes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.deploy.changes import compare, row, settled, shown

KEYS = st.sampled_from(["Name", "Code", "Timeout", "Tags"])
VALUES: Any = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(KEYS, VALUES, max_size=4)


@given(PROPERTIES)
def test_nothing_changes_into_itself(properties: dict[str, Any]) -> None:
    assert list(compare({"Properties": properties}, {"Properties": json.loads(json.dumps(properties))})) == []


@given(PROPERTIES, PROPERTIES)
def test_a_difference_is_never_hidden_and_turns_round(first: dict[str, Any], second: dict[str, Any]) -> None:
    there = list(compare({"Properties": first}, {"Properties": second}))
    back = list(compare({"Properties": second}, {"Properties": first}))
    assert [one.path for one in there] == [one.path for one in back]
    assert [(one.before, one.after) for one in there] == [(one.after, one.before) for one in back]
    changed = {one.path.split(".")[0] for one in there}
    for key in {*first, *second}:
        empty = not first.get(key) and not second.get(key)
        assert (key in changed) == (first.get(key) != second.get(key)) or empty


def test_values_are_shown_as_people_write_them() -> None:
    assert shown({"Ref": "DataBucket"}) == "${DataBucket}"
    assert shown({"Fn::GetAtt": ["Role", "Arn"]}) == "${Role.Arn}" == shown({"Fn::GetAtt": "Role.Arn"})
    assert shown({"Fn::Sub": "s3://${DataBucket}/raw"}) == "s3://${DataBucket}/raw"
    assert shown({"b": 1, "a": [True]}) == '{"a": [true], "b": 1}'


def test_one_more_tag_is_one_change() -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(3)]
    found = compare(
        {"Properties": {"Tags": tags}}, {"Properties": {"Tags": [*tags, {"Key": "new", "Value": "x"}]}}
    )
    assert [(one.path, one.before, one.after) for one in found] == [("Tags.new", None, "x")]


def definition(seconds: int, **more: Any) -> str:
    states = {f"State{n}": {"Type": "Pass", "Next": f"State{n + 1}"} for n in range(20)}
    states["State7"] = {"Type": "Wait", "Seconds": seconds, "Next": "State8"}
    return json.dumps({"StartAt": "State0", "States": states, **more}, indent=2)


def test_a_definition_changes_as_a_diff_that_says_where() -> None:
    (change,) = compare(
        {"Properties": {"DefinitionString": definition(5)}},
        {"Properties": {"DefinitionString": definition(60)}},
    )
    assert change.diff is not None
    assert change.diff.splitlines() == [
        "@@ States.State7 @@",
        '     "State7": {',
        '       "Next": "State8",',
        '-      "Seconds": 5,',
        '+      "Seconds": 60,',
        '       "Type": "Wait"',
        "     },",
    ]


def test_another_layout_of_the_same_definition_is_said_to_be_that() -> None:
    flat = json.dumps(json.loads(definition(5)))
    (change,) = compare(
        {"Properties": {"DefinitionString": definition(5)}}, {"Properties": {"DefinitionString": flat}}
    )
    assert (change.after, change.diff) == ("the same, written differently", None)


def change_of(name: str, *details: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {
        "Action": "Modify",
        "LogicalResourceId": name,
        "ResourceType": "AWS::X::Y",
        "Replacement": "False",
    }
    return {**base, "Details": list(details), **more}


def detail(name: str, source: str = "DirectModification", cause: str = "") -> dict[str, Any]:
    return {
        "Target": {"Attribute": "Properties", "Name": name},
        "ChangeSource": source,
        "CausingEntity": cause,
    }


def test_what_only_refers_to_a_resource_that_changes_in_place_does_not_change() -> None:
    function = change_of("Function", detail("Timeout"))
    policy = change_of(
        "Policy", detail("Document", "ResourceAttribute", "Function.Arn"), Replacement="Conditional"
    )
    machine = change_of("Machine", detail("Role", "ResourceAttribute", "Policy.Id"))
    left, unchanged = settled([function, policy, machine])
    assert ([one["LogicalResourceId"] for one in left], unchanged) == (["Function"], ["Policy", "Machine"])


def test_what_refers_to_a_replaced_resource_changes_with_it() -> None:
    function = change_of("Function", detail("FunctionName"), Replacement="True")
    policy = change_of("Policy", detail("Document", "ResourceAttribute", "Function.Arn"))
    left, unchanged = settled([function, policy])
    assert len(left) == 2 and unchanged == []
    (change,) = row(left[1], {}, {}, {}).changes
    assert (change.path, change.after) == ("Document", "follows Function.Arn")


def test_the_change_sets_own_values_go_before_the_templates() -> None:
    context = {
        "BeforeContext": json.dumps({"Properties": {"Timeout": "3"}}),
        "AfterContext": json.dumps({"Properties": {"Timeout": "9"}}),
    }
    found = row(change_of("F", detail("Timeout"), **context), {"Properties": {"Timeout": 1}}, {}, {})
    assert [(one.before, one.after) for one in found.changes] == [("3", "9")]


def test_a_changed_parameter_shows_its_values() -> None:
    found = row(
        change_of("F", detail("Bucket", "ParameterReference", "Data")), {}, {}, {"Data": ("old", "new")}
    )
    assert [(one.path, one.before, one.after) for one in found.changes] == [("Bucket", "old", "new")]
