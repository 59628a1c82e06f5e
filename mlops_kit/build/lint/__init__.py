"""Finds what is wrong or doubtful in a definition before AWS does; must not change it or call anything.

Service, action and parameter names are held against botocore's service models, read from its files: no
client, no credentials, no network.
"""

from __future__ import annotations

from mlops_kit.build.lint.findings import Finding, Findings
from mlops_kit.build.lint.run import lint

__all__ = ["Finding", "Findings", "lint"]
