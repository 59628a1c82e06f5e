"""botocore's models, read once for the whole process and without their prose; must not know a service.

Every session of botocore reads them for itself, and keeps the documentation: with a client a service that was
more than half of the server's memory.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
from typing import Any


@functools.cache
def loader() -> Any:
    """The one loader of botocore's own models; the user's folder ``~/.aws/models`` is not looked at."""
    from botocore.loaders import JSONFileLoader, Loader

    class Terse(JSONFileLoader):  # type: ignore[misc]
        def load_file(self, file_path: str) -> Any:
            for ending, opened in ((".json", open), (".json.gz", gzip.open)):
                with contextlib.suppress(FileNotFoundError), opened(file_path + ending, "rb") as file:
                    return json.loads(file.read(), object_pairs_hook=_without_prose)
            return None

    return Loader([Loader.BUILTIN_DATA_PATH], Terse(), include_default_search_paths=False)


def _without_prose(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """botocore wants to find the member, and nothing in it."""
    return {key: "" if key == "documentation" and isinstance(value, str) else value for key, value in pairs}
