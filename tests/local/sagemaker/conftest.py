"""Fixtures of the SageMaker tests."""

from __future__ import annotations

import pytest

from tests.conftest import EmbeddedAws
from tests.local.sagemaker.support import Sage


@pytest.fixture
def sage(aws: EmbeddedAws) -> Sage:
    """A bucket of the test's own on the shared embedded AWS."""
    return Sage(aws)


@pytest.fixture
def fresh_sage(fresh_aws: EmbeddedAws) -> Sage:
    """The same on an embedded AWS of the test's own."""
    return Sage(fresh_aws)
