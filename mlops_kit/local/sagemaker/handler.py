"""The script-mode inference contract of the scikit-learn image; runs in the serving process only.

A user's module defines ``model_fn(model_dir)``, and, where the defaults do not do, ``input_fn(data,
content_type)``, ``predict_fn(data, model)``, ``output_fn(prediction, accept)``, or one ``transform_fn(model,
data, content_type, accept)`` in their place. Source: sagemaker-scikit-learn-container, ``serving.py``, and
the toolkit under it.
Must not import anything heavy before the user's module does.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JSON, CSV, NPY, ANY = "application/json", "text/csv", "application/x-npy", "*/*"
_TEXT = (JSON, CSV)
_HTML = "text/html; charset=utf-8"  # what the image's Flask says of a bare text


class ContractError(Exception):
    """The user's module does not keep the contract."""


class UnsupportedFormat(Exception):
    """The default functions know no such content type."""

    def __init__(self, content_type: str) -> None:
        super().__init__(f"Content type {content_type} is not supported by this framework.")


@dataclass(frozen=True)
class Answer:
    """What an invocation answers."""

    status: int
    body: bytes
    content_type: str


class Handler:
    """A loaded model and the functions around it.

    Parameters
    ----------
    module : module
        The user's module.
    model_dir : str
        Folder of the model's files.

    Raises
    ------
    ContractError
        ``model_fn`` is missing, or ``transform_fn`` stands beside what it replaces.
    """

    def __init__(self, module: Any, model_dir: str) -> None:
        own = {
            name: getattr(module, f"{name}_fn", None) for name in ("input", "predict", "output", "transform")
        }
        load = getattr(module, "model_fn", None)
        if load is None:
            raise ContractError(
                f"{module.__name__} has no model_fn. Please provide a model_fn implementation: "
                "model_fn(model_dir) loads the model and returns it."
            )
        if own["transform"] and (own["input"] or own["predict"] or own["output"]):
            raise ContractError(
                "Cannot use transform_fn implementation with input_fn, predict_fn, and/or output_fn"
            )
        self._transform: Callable[..., Any] | None = own["transform"]
        self._input = own["input"] or default_input
        self._predict = own["predict"] or _default_predict
        self._output = own["output"] or default_output
        self._accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)
        self._model = load(model_dir)

    @classmethod
    def load(cls, program: str, code: str, model_dir: str) -> Handler:
        """Import a program from its folder and load the model.

        Parameters
        ----------
        program : str
            File name of the module, such as ``inference.py``.
        code : str
            Its folder; put first on the path.
        model_dir : str
            Folder of the model's files.
        """
        sys.path.insert(0, code)
        if not Path(code, program).is_file():
            raise ContractError(
                f"There is no {program} in {code}. Ship it in the model archive's code/ folder, or name the "
                "source in SAGEMAKER_SUBMIT_DIRECTORY and the file in SAGEMAKER_PROGRAM."
            )
        module = importlib.import_module(program.removesuffix(".py").replace("/", "."))
        return cls(module, model_dir)

    def invoke(self, body: bytes, content_type: str | None, accept: str | None) -> Answer:
        """Answer one request; what the user's functions raise becomes a 500 with its words."""
        content_type = content_type or JSON
        accept = accept if accept and accept != ANY else self._accept
        try:
            data = body.decode() if content_type in _TEXT else body
            return _answer(self._run(data, content_type, accept))
        except _Refused as error:
            return Answer(error.status, _described(error.cause), JSON)
        except Exception as error:
            traceback.print_exc()
            return Answer(500, f"{type(error).__name__}: {error}".encode(), "text/plain")

    def _run(self, data: Any, content_type: str, accept: str) -> Any:
        if self._transform:
            return self._transform(self._model, data, content_type, accept)
        try:
            value = self._input(data, content_type)
        except UnsupportedFormat as error:
            raise _Refused(415, error) from error
        prediction = self._predict(value, self._model)
        try:
            return self._output(prediction, accept)
        except UnsupportedFormat as error:
            raise _Refused(406, error) from error


def load_or_exit(program: str, code: str, model_dir: str) -> Handler:
    """Load a model, or end the process with words on standard error."""
    try:
        return Handler.load(program, code, model_dir)
    except ContractError as error:
        print(f"ContractError: {error}", file=sys.stderr)
    except Exception:
        traceback.print_exc()
    sys.exit(1)


class _Refused(Exception):
    def __init__(self, status: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.status = status
        self.cause = cause


def default_input(data: Any, content_type: str) -> Any:
    """CSV, JSON or NPY as an array; text formats as float32, one row as two dimensions.

    NPY arrays of Python objects are refused: they are pickles.
    """
    import numpy as np

    if content_type == NPY:
        return np.load(io.BytesIO(data), allow_pickle=False)
    if content_type == CSV:
        array = np.array(list(csv.reader(io.StringIO(data), strict=True))).squeeze()
    elif content_type == JSON:
        array = np.array(json.loads(data))
    else:
        raise UnsupportedFormat(content_type)
    array = array.astype(np.float32)
    return array.reshape(1, -1) if array.ndim == 1 else array


def _default_predict(data: Any, model: Any) -> Any:
    return model.predict(data)


def default_output(prediction: Any, accept: str) -> tuple[bytes, str]:
    """A prediction as JSON, CSV or NPY."""
    import numpy as np

    if accept == JSON:
        return json.dumps(prediction, default=lambda value: value.tolist()).encode(), accept
    if accept == NPY:
        buffer = io.BytesIO()
        np.save(buffer, prediction, allow_pickle=False)
        return buffer.getvalue(), accept
    if accept == CSV:
        array = np.array(prediction)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(array.reshape(-1, 1) if array.ndim == 1 else array)
        return text.getvalue().encode(), accept
    raise UnsupportedFormat(accept)


def _answer(result: Any) -> Answer:
    if isinstance(result, tuple):
        return Answer(200, _bytes(result[0]), str(result[1]))
    if isinstance(result, dict | list):
        return Answer(200, json.dumps(result).encode(), JSON)
    if hasattr(result, "get_data"):  # a Response of Flask or of the toolkit
        return Answer(result.status_code, result.get_data(), result.mimetype)
    return Answer(200, _bytes(result), _HTML)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"The function must return text or bytes, not {type(value).__name__}.")


def _described(error: Exception) -> bytes:
    said = {"error": type(error).__name__, "error-message": str(error)}
    return json.dumps(said).encode()
