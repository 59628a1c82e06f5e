"""Run a notebook headless with checked parameters; must not know what any notebook is about."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_kit.errors import KitError, UsageError

Told = Callable[[str], None]
_TAG = "parameters"


def parameters(path: Path) -> dict[str, Any]:
    """A notebook's parameters with their defaults: the literals of the cell tagged ``parameters``.

    Raises
    ------
    UsageError
        There is no such notebook, it is none, or the cell holds more than literals.
    """
    for cell in _read(path).cells:
        if cell.cell_type == "code" and _TAG in cell.metadata.get("tags", []):
            return dict(_literals(path, cell.source))
    return {}


def run(
    path: Path,
    values: Mapping[str, Any],
    output_dir: Path = Path("runs"),
    log: Told | None = None,
    *,
    results: bool = True,
) -> Path:
    """Run a notebook and keep the copy with its outputs.

    Parameters
    ----------
    path : pathlib.Path
        The source; it is not changed.
    values : mapping
        Parameters by name; texts become the type of the default (``"7"`` an int, ``"true"`` a bool, JSON for
        lists, mappings and ``None``).
    output_dir : pathlib.Path
        Where the copy goes: ``<name>-<time>.ipynb``, trusted, so that JupyterLab shows its pictures.
    log : callable, optional
        Called with each line that the notebook prints.
    results : bool
        Whether the log is told, too, what cells show, in its text form.

    Returns
    -------
    pathlib.Path
        The copy.

    Raises
    ------
    UsageError
        An unknown parameter, or a value of another type.
    KitError
        A cell failed; names the cell, the error, and the copy that shows it. Or the kernel died, there is no
        kernel of that name, or the folder cannot be made.
    """
    with _lean():
        import papermill
        from jupyter_client.kernelspec import NoSuchKernel
        from nbclient.exceptions import DeadKernelError
        from papermill.exceptions import PapermillExecutionError

    given = typed(path, values)
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KitError(f"{output_dir} cannot be a folder of run copies.", cause=str(error)) from None
    copy = _free_name(output_dir, path.stem)
    try:
        with _listening(log):
            papermill.execute_notebook(
                str(path),
                str(copy),
                parameters=given,
                kernel_name=_read(path).metadata.get("kernelspec", {}).get("name", "python3"),
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,  # twice a cell takes longer than most cells
                log_output=log is not None and results,
                stdout_file=None if log is None or results else _Printed(log),
                # what a kernel says about itself would stand between what the notebook says
                extra_arguments=["--IPKernelApp.log_level=50"],
            )
    except PapermillExecutionError as error:
        raise _failed(path, copy, error) from None
    except DeadKernelError:
        raise KitError(
            f"{path.name}: its kernel died.",
            cause="a cell ended the process, or the machine ran out of memory",
            suggestion=f"open {copy}, which holds everything up to there.",
        ) from None
    except NoSuchKernel as error:
        raise KitError(
            f"{path.name} asks for the kernel {error.name!r}, which is not here.",
            suggestion="choose another in JupyterLab and save it, or install that one.",
        ) from None
    finally:
        _trust(copy)
    return copy


def html(path: Path) -> Path:
    """Write a notebook as HTML that opens offline, beside it; what it shows is embedded.

    Returns
    -------
    pathlib.Path
        ``<name>.html``.
    """
    with _lean():
        from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True)
    for library in ("mathjax_url", "require_js_url", "mermaid_js_url", "jquery_url"):
        setattr(exporter, library, "")  # each would be loaded from the network
    page, _ = exporter.from_notebook_node(_read(path), {"metadata": {"name": path.stem}})
    written = path.with_suffix(".html")
    written.write_text(page, encoding="utf-8")
    return written


def typed(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, each of its default's type.

    Raises
    ------
    UsageError
        The notebook has no such parameter, or the value does not fit.
    """
    known = parameters(path)
    if unknown := sorted(set(values) - set(known)):
        listed = ", ".join(f"{name} (now {value!r})" for name, value in known.items()) or "none"
        raise UsageError(f"{path.name} has no parameter {unknown[0]!r}.", suggestion=f"it has {listed}.")
    return {name: _fitted(path, name, value, known[name]) for name, value in values.items()}


def _fitted(path: Path, name: str, value: Any, default: Any) -> Any:
    if isinstance(value, str) and not isinstance(default, str):
        value = _parsed(value, default)
    wanted = type(default)
    if wanted is float and type(value) is int:
        return float(value)
    if default is None or type(value) is wanted:
        return value
    raise UsageError(
        f"{path.name}: parameter {name} takes {_ARTICLE.get(wanted, wanted.__name__)}, not {value!r}.",
        suggestion=f"such as its default, {default!r}.",
    )


_ARTICLE = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}


def _parsed(text: str, default: Any) -> Any:
    """A text from the command line as JSON, where it is JSON; Python's spelling of the constants too."""
    spelled = {"True": "true", "False": "false", "None": "null"}.get(text, text)
    try:
        return json.loads(spelled)
    except ValueError:
        return text if default is None else _as_literal(text)


def _as_literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _read(path: Path) -> Any:
    with _lean():
        import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        there = ", ".join(sorted(one.name for one in path.parent.glob("*.ipynb"))) or "none"
        raise UsageError(f"There is no notebook {path}.", suggestion=f"notebooks there: {there}.") from None
    except (
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
        OSError,
        UnicodeDecodeError,
        KeyError,
        AttributeError,
    ) as error:
        raise UsageError(f"{path} is no notebook.", cause=str(error).splitlines()[0]) from None


@contextmanager
def _lean() -> Iterator[None]:
    """Import jsonschema, which nbformat needs, without the grammar of IRIs that it would build at import.

    No notebook has an IRI that is checked, and the grammar is most of papermill's import: a second.
    """
    grammar = "rfc3987_syntax"
    absent = grammar not in sys.modules
    if absent:
        sys.modules[grammar] = None  # type: ignore[assignment]  # "not there", to an import statement
    try:
        yield
    finally:
        if absent:
            del sys.modules[grammar]


def _literals(path: Path, source: str) -> Iterator[tuple[str, Any]]:
    try:
        for node in ast.parse(source).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            if len(targets) == 1 and isinstance(targets[0], ast.Name) and value is not None:
                yield targets[0].id, ast.literal_eval(value)
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"The parameters cell of {path.name} holds more than literals.", cause=str(error)
        ) from None


def _free_name(folder: Path, stem: str) -> Path:
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (f"{stem}-{stamp}{'' if number == 1 else f'-{number}'}.ipynb" for number in range(1, 1000))
    return next(folder / name for name in names if not (folder / name).exists())


def _trust(copy: Path) -> None:
    """Sign the outputs: JupyterLab shows the SVG of an untrusted notebook as text."""
    import nbformat
    from nbformat.sign import NotebookNotary

    if copy.exists():
        NotebookNotary().sign(nbformat.read(copy, as_version=4))


@contextmanager
def _listening(log: Told | None) -> Iterator[None]:
    """Hand papermill's own log lines, which hold what cells print, to the caller."""
    logger = logging.getLogger("papermill")
    if log is None:
        yield
        return
    handler, level, propagate = _Lines(log), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class _Lines(logging.Handler):
    """Passes on what cells print, not what papermill says about itself."""

    def __init__(self, log: Told) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One record, line by line."""
        text = record.getMessage()
        if record.name == "papermill" and record.funcName == "log_output_message":
            for line in text.splitlines():
                if line.strip():
                    self._log(line)


class _Printed(io.TextIOBase):
    """A file to papermill; what is written to it goes to a caller line by line."""

    def __init__(self, log: Told) -> None:
        self._log = log
        self._begun = ""

    def write(self, text: str) -> int:
        """Pass on the lines that are whole."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self._log(line)
        return len(text)


def _failed(path: Path, copy: Path, error: Any) -> KitError:
    first = next((line for line in error.source.splitlines() if line.strip()), "")
    words = f"{error.ename}: {error.evalue}".strip()
    return KitError(
        f"{path.name} failed in cell [{error.exec_count}] (`{first.strip()}`).",
        cause=words,
        suggestion=f"open {copy}, which holds everything up to there.",
    )
