"""The house keeps its order: who may import whom, no cycles, lazy front door, clean notebooks."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted([*ROOT.glob("mlops_kit/**/*.py"), *ROOT.glob("pipelines/**/*.py")])
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))

BASE = tuple(
    f"mlops_kit.{name}" for name in ("errors", "settings", "pipeline", "trigger", "cron", "artifacts")
)
HEAVY = ("boto3", "pandas", "matplotlib", "sagemaker", "stepfunctions", "sklearn")
ROOMS: dict[str, dict[str, tuple[str, ...]]] = {
    "mlops_kit.errors": {"kit": BASE, "never": HEAVY},
    "mlops_kit.settings": {"kit": BASE, "never": HEAVY},
    "mlops_kit.artifacts": {"kit": BASE, "never": HEAVY},
    "mlops_kit.pipeline": {"kit": BASE, "never": HEAVY},
    "mlops_kit.trigger": {"kit": (), "never": HEAVY},
    "mlops_kit.cron": {"kit": ("mlops_kit.errors",), "never": HEAVY},
    "mlops_kit.asl": {"kit": ("mlops_kit.asl", "mlops_kit.errors"), "never": (*HEAVY, "botocore")},
    "mlops_kit.build": {"kit": (*BASE, "mlops_kit.build", "mlops_kit.asl"), "never": ("boto3", "pandas")},
    "mlops_kit.deploy": {"kit": (*BASE, "mlops_kit.deploy"), "never": ("stepfunctions", "sagemaker")},
    "mlops_kit.execute": {"kit": (*BASE, "mlops_kit.deploy", "mlops_kit.execute"), "never": ("boto3",)},
    "mlops_kit.drift": {
        "kit": (*BASE, "mlops_kit.drift"),
        "never": ("boto3", "matplotlib", "scipy", "numpy"),
    },
    "mlops_kit.observe": {"kit": (*BASE, "mlops_kit.observe", "mlops_kit.drift"), "never": ("boto3",)},
    "mlops_kit.handlers": {
        "kit": ("mlops_kit.drift.thresholds",),
        "never": ("stepfunctions", "pandas", "matplotlib"),
    },
    "mlops_kit.local": {
        "kit": (*BASE[:2], "mlops_kit.cron", "mlops_kit.asl", "mlops_kit.local"),
        "never": ("sagemaker", "stepfunctions", "pandas", "matplotlib", "pipelines"),
    },
    "pipelines": {
        "kit": (*BASE, "mlops_kit.build", "mlops_kit.drift", "pipelines"),
        "never": ("stepfunctions", "sagemaker"),
    },
}
ONLY_IMPORTER = {"ministack": "mlops_kit.local.ministack", "stepfunctions": "mlops_kit.build.sdk"}
JOB_CODE = ("pipelines.jobs", "pipelines.functions", "pipelines.features")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module's full name, and whether the import runs when the module is imported."""
    tree = ast.parse(path.read_text())
    guarded: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ):
            guarded.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node not in guarded
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node not in guarded


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    name = name_of(path)
    room = next((room for room in ROOMS if within(name, (room,))), None)
    if room is None or within(name, JOB_CODE):
        return
    for imported, _ in imports_of(path):
        assert not within(imported, ROOMS[room]["never"]), f"{name} imports {imported}"
        if imported.startswith("mlops_kit.") or within(imported, ("pipelines",)):
            assert within(imported, ROOMS[room]["kit"]), f"{name} imports {imported}"
        for library, importer in ONLY_IMPORTER.items():
            if within(imported, (library,)):
                assert within(name, (importer,)), f"{name} imports {library}"


def test_there_is_no_import_cycle() -> None:
    known = {name_of(path): path for path in MODULES}
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        targets = {imported for imported, at_import in imports_of(path) if at_import}
        graph[name] = {t if t in known else t.rpartition(".")[0] for t in targets} & known.keys() - {name}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_its_job_and_is_no_novel(path: Path) -> None:
    text = path.read_text()
    if path.name != "__init__.py" or text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{name_of(path)} does not say what it is for"
    assert text.count("\n") <= 420, f"{name_of(path)} has {text.count(chr(10))} lines: perhaps two jobs"


@pytest.mark.parametrize("statement", ["import mlops_kit", "import mlops_kit.cli"])
def test_the_front_door_loads_nothing_heavy(statement: str) -> None:
    code = f"import sys; {statement}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"boto3", "botocore", "pandas", "numpy", "sagemaker", "stepfunctions", "duckdb", "rich"} & set(
        loaded
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_the_rules_of_notebooks(path: Path) -> None:
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    assert re.fullmatch(r"\d\d_[a-z]+(_[a-z]+)+", path.stem), "NN_verb_noun"
    assert len(cells) <= 15
    assert cells[0]["cell_type"] == "markdown" and "?" in sources[0] and "| parameter" in sources[0].lower()
    assert "parameters" in cells[1]["metadata"].get("tags", [])
    for assignment in ast.parse(sources[1]).body:
        assert isinstance(assignment, ast.Assign | ast.AnnAssign) and assignment.value is not None
        ast.literal_eval(assignment.value)
    for cell, source in zip(cells, sources, strict=True):
        if cell["cell_type"] != "code":
            continue
        assert not cell["outputs"] and cell["execution_count"] is None, "sources hold no outputs"
        assert source.count("\n") < 15, source
        tree = ast.parse(source)
        assert not any(
            isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) for node in ast.walk(tree)
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                )
                assert not [n for n in names if within(n, ("boto3", "stepfunctions"))], source
                assert not [n for n in names if "._" in n or n.startswith("mlops_kit.")], "only public names"


def test_the_first_notebook_leads_to_every_other() -> None:
    first, *others = NOTEBOOKS
    assert [path.stem for path in others if f"`{path.stem}`" not in first.read_text()] == []


def test_every_pipeline_has_its_place_in_the_notebook_of_schedules() -> None:
    from mlops_kit import catalog

    text = (ROOT / "notebooks" / "05_schedule_jobs.ipynb").read_text()
    named = re.findall(r"\| `([a-z-]+)` \|", text)
    assert {entry.name for entry in catalog.entries()} <= set(named)


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of one machine and no registry's host in what is committed."""
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    unwanted = re.compile("/" + "work/|/" + "root/|pypi" + r"\.org|files\.python" + "hosted|/" + "opt/pypi")
    for file in files:
        if not file.endswith((".gz", ".png", ".svg")):
            assert not unwanted.search((ROOT / file).read_text(errors="replace")), file
