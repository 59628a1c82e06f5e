"""How a state reads its input and forms its output, in JSONPath and in JSONata; knows no state's work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops_kit.asl import jsonata, paths, template
from mlops_kit.local.stepfunctions.docs import Doc

if TYPE_CHECKING:
    from mlops_kit.local.stepfunctions.frames import Frame
    from mlops_kit.local.stepfunctions.program import State


class Reader:
    """Evaluates a state's fields against its frame.

    Every method raises `mlops_kit.asl.errors.StatesError` where AWS's evaluation would fail.
    """

    __slots__ = ("_context", "frame", "state")

    def __init__(self, frame: Frame, state: State) -> None:
        self.frame = frame
        self.state = state
        self._context: dict[str, Any] | None = None

    @property
    def context(self) -> dict[str, Any]:
        """The context object, made when first asked for; empty when no expression reads it."""
        if self._context is None:
            self._context = self.frame.execution.context(self.frame) if self.state.needs_context else {}
        return self._context

    def fresh(self) -> None:
        """Forget the context object: a token or a retry has changed it."""
        self._context = None

    def show_item(self, item: Mapping[str, Any]) -> None:
        """Let ``Map.Item`` of the context object be this item."""
        self._context = {**self.context, "Map": {"Item": item}}

    def path(self, path: str, data: Any) -> Any:
        """Read a JSONPath from data, the context object or a variable."""
        if path == "$":
            return data
        return paths.read(path, data, self.context, self.frame.visible)

    def template(self, value: Any, data: Any) -> Any:
        """Render a payload template against data."""
        return template.render(value, data, self.context, self.frame.visible)

    def jsonata(
        self, value: Any, field: str, extra: Mapping[str, Any] | None = None, expect: str | None = None
    ) -> Any:
        """Evaluate every JSONata string of a value; ``extra`` adds ``result`` or ``errorOutput``."""
        states = {"input": self.frame.input.value, "context": self.context, **(extra or {})}
        return jsonata.evaluate(value, states, self.frame.visible, field, expect)

    # ------------------------------------------------------------------ input
    def narrowed(self) -> Any:
        """Input after InputPath; an empty object when InputPath is null."""
        path = self.state.spec.get("InputPath", "$")
        return {} if path is None else self.path(path, self.frame.input.value)

    def arguments(self) -> Any:
        """What the state's work gets: Arguments, or InputPath and Parameters."""
        spec = self.state.spec
        if self.state.jsonata:
            return (
                self.jsonata(spec["Arguments"], "Arguments")
                if "Arguments" in spec
                else self.frame.input.value
            )
        data = self.narrowed()
        return self.template(spec["Parameters"], data) if "Parameters" in spec else data

    def role(self) -> str:
        """The role in a Task's Credentials; empty where the state machine's own is meant."""
        credentials = self.state.spec.get("Credentials")
        if not isinstance(credentials, Mapping):
            return ""
        if self.state.jsonata:
            credentials = self.jsonata(credentials, "Credentials")
        else:
            credentials = self.template(credentials, self.narrowed())
        return str(credentials.get("RoleArn") or "")

    # ----------------------------------------------------------------- output
    def close(self, result: Any, raw: Doc | None = None) -> tuple[Doc, dict[str, Any]]:
        """Output and assigned variables of a state whose work gave a result.

        Parameters
        ----------
        result : Any
            What the work gave.
        raw : Doc, optional
            The same as a document, handed on unchanged where nothing selects from it.
        """
        if self.state.jsonata:
            return self._close_jsonata(result, raw)
        spec = self.state.spec
        if "ResultSelector" in spec:
            result, raw = self.template(spec["ResultSelector"], result), None
        assigned = self.template(spec["Assign"], result) if "Assign" in spec else {}
        return self._placed(result, raw, spec.get("ResultPath", "$")), assigned

    def _close_jsonata(self, result: Any, raw: Doc | None) -> tuple[Doc, dict[str, Any]]:
        spec, extra = self.state.spec, {"result": result}
        assigned = self.jsonata(spec["Assign"], "Assign", extra) if "Assign" in spec else {}
        if "Output" in spec:
            return Doc(self.jsonata(spec["Output"], "Output", extra)), assigned
        return raw or Doc(result), assigned

    def _placed(self, result: Any, raw: Doc | None, result_path: str | None) -> Doc:
        """ResultPath, then OutputPath."""
        if result_path is None:
            output = self.frame.input
        elif result_path == "$":
            output = raw or Doc(result)
        else:
            output = Doc(paths.write(result_path, self.frame.input.value, result))
        path = self.state.spec.get("OutputPath", "$")
        if path is None:
            return Doc({}, "{}")
        return output if path == "$" else Doc(self.path(path, output.value))

    def caught(self, catcher: Mapping[str, Any], error: dict[str, str]) -> tuple[Doc, dict[str, Any]]:
        """Output and assigned variables of a Catch."""
        if self.state.jsonata:
            extra = {"errorOutput": error}
            assigned = self.jsonata(catcher["Assign"], "Assign", extra) if "Assign" in catcher else {}
            output = self.jsonata(catcher["Output"], "Output", extra) if "Output" in catcher else error
            return Doc(output), assigned
        assigned = self.template(catcher["Assign"], error) if "Assign" in catcher else {}
        path = catcher.get("ResultPath", "$")
        if path is None:
            return self.frame.input, assigned
        return Doc(error if path == "$" else paths.write(path, self.frame.input.value, error)), assigned
