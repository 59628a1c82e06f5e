from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.asl import paths
from mlops_kit.asl.errors import PathError, StatesError

DATA = {
    "a": {"b": [1, 2, {"c": 3}], "e-f": 5, "x:y": 6, "": 7},
    "l": [{"x": 1, "k": "p"}, {"x": 2, "k": "q"}],
    "n": None,
    "s": "t",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DATA),
        ("$.a.b[0]", 1),
        ("$.a.b[-1].c", 3),
        ("$['a']['b'][2]", {"c": 3}),
        ('$["a"].b[1]', 2),
        ("$.a.e-f", 5),
        ("$.a.x:y", 6),
        ("$.a['']", 7),
        ("$.n", None),
        ("$.l[*].x", [1, 2]),
        ("$.l.*.x", [1, 2]),
        ("$.l[?(@.x>1)].k", ["q"]),
        ("$.l[?(@.k=='p')]", [{"x": 1, "k": "p"}]),
        ("$.l[?(@.k =~ /p|q/)].x", [1, 2]),
        ("$.l[?(@.x == $.l[0].x)].k", ["p"]),
        ("$.l[0:1].x", [1]),
        ("$.a.b[0,1]", [1, 2]),
        ("$..x", [1, 2]),
        ("$.l[*].nothing", []),
        ("$.a[?(@.e-f)]", [DATA["a"]]),
        ("$.s[*]", []),
    ],
)
def test_reads_what_jayway_selects(path: str, value: object) -> None:
    assert paths.read(path, DATA) == value


def test_context_object_and_variables_have_their_own_roots() -> None:
    context, variables = {"Execution": {"Id": "e"}}, {"x": {"y": [1]}}
    assert paths.read("$$.Execution.Id", DATA, context, variables) == "e"
    assert paths.read("$$", DATA, context, variables) == context
    assert paths.read("$x.y[0]", DATA, context, variables) == 1


@pytest.mark.parametrize("path", ["$.q[*]", "$.q[*].word", "$.q[1:].word", "$.a.no[?(@.x)]", "$.n[0][*]"])
def test_an_indefinite_path_through_nothing_gives_an_empty_list(path: str) -> None:
    assert paths.read(path, {"a": {}, "n": None}) == []


def test_in_a_quoted_name_only_its_quote_and_the_backslash_are_escaped() -> None:
    name = chr(92) + '""Name"'
    assert paths.read(f"$['Test{name}']", {f"Test{name}": 1}) == 1
    assert paths.read(r"$['it\'s']", {"it's": 2}) == 2


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        (
            "$.NoSuchTimeoutSecondsPath",
            "Invalid path '$.NoSuchTimeoutSecondsPath' : No results for path: $['NoSuchTimeoutSecondsPath']",
        ),
        ("$.no.such.result.path", "Invalid path '$.no.such.result.path' : Missing property in path $['no']"),
        ("$.a.b[7]", "Invalid path '$.a.b[7]' : No results for path: $['a']['b'][7]"),
        ("$.n[0]", "Invalid path '$.n[0]' : The path $['n'] is null"),
        ("$.l.length()", "Invalid path '$.l.length()' : Property ['length()'] not found in path $['l']"),
    ],
)
def test_a_path_that_finds_nothing_fails_in_awss_words(path: str, cause: str) -> None:
    with pytest.raises(PathError) as raised:
        paths.read(path, DATA)
    assert (raised.value.error, raised.value.cause) == ("States.Runtime", cause)


def test_a_step_into_a_text_or_an_unknown_variable_finds_nothing() -> None:
    for path in ("$.s.t", "$.s[0]", "$gone.x"):
        with pytest.raises(PathError):
            paths.read(path, DATA, {}, {})


@pytest.mark.parametrize(
    "path", ["a.b", "", "$.", "$..", "$[a]", "$.a b", "$.a[", "$.l[?(@.x", "$.a.length()"]
)
def test_texts_that_are_no_path_are_refused_with_a_reason(path: str) -> None:
    assert paths.check(path)


@pytest.mark.parametrize(
    "path", ["$", "$$.a", "$x", "$.a['b c']", "$.l[?(@.x > 1 && @.k == 'p')]", "$..a", "$.a[1:]"]
)
def test_paths_that_aws_knows_are_not_refused(path: str) -> None:
    assert paths.check(path) is None


def test_only_names_and_indexes_into_the_data_are_a_reference_path() -> None:
    assert paths.is_reference_path("$.a['b'][0]")
    for path in ("$.a[*]", "$..a", "$.a[0:1]", "$.a[?(@.b)]", "$$.a", "$x", "a"):
        assert not paths.is_reference_path(path)


def test_write_makes_the_objects_on_the_way_and_leaves_the_data_alone() -> None:
    data = {"a": {"b": 1}}
    assert paths.write("$.a.c.d", data, 2) == {"a": {"b": 1, "c": {"d": 2}}}
    assert paths.write("$", data, 2) == 2
    assert paths.write(None, data, 2) == data
    assert data == {"a": {"b": 1}}


@pytest.mark.parametrize("path", ["$.s.t", "$.l[5]", "$.n.x", "$.a[0]", "$.l[*]"])
def test_write_through_what_is_no_object_fails_as_result_path_match_failure(path: str) -> None:
    with pytest.raises(StatesError) as raised:
        paths.write(path, DATA, 1)
    assert raised.value.error == "States.ResultPathMatchFailure"
    assert str(raised.value.cause).startswith(f"Unable to apply ReferencePath {path} to input {{")


NAMES = st.text(min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(NAMES, min_size=1, max_size=4), JSON)
def test_what_is_written_is_read_back(names: list[str], value: object) -> None:
    def quoted(name: str) -> str:
        return "['" + name.replace("\\", "\\\\").replace("'", "\\'") + "']"

    path = "$" + "".join(map(quoted, names))
    written = paths.write(path, {"other": 1}, value)
    assert paths.read(path, written) == value
    if names[0] != "other":
        assert written["other"] == 1


@given(st.lists(JSON, min_size=1, max_size=4), st.data())
def test_writing_an_index_changes_that_item_only(items: list[object], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    written = paths.write(f"$.l[{index}]", {"l": items}, "new")
    assert written["l"][index] == "new"
    assert [item for i, item in enumerate(written["l"]) if i != index] == items[:index] + items[index + 1 :]
