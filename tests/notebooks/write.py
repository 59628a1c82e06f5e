"""Run the notebooks of this folder and keep what they show: after a change of it that is wanted.

    python -m tests.notebooks.write

Read the difference before it is committed.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def main() -> None:
    for path in sorted(HERE.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, resources={"metadata": {"path": str(HERE)}}, record_timing=False).execute()
        notebook.metadata = {
            "kernelspec": notebook.metadata["kernelspec"],
            "language_info": {"name": "python"},
        }
        path.write_text(nbformat.writes(notebook, indent=1) + "\n")
        print(path.name)


if __name__ == "__main__":
    main()
