"""What tests of drift share: the bike data, cleaned."""

from __future__ import annotations

import gzip
import io

import pandas as pd
import pytest

from pipelines.features import demand
from pipelines.models.demand import DEMAND


@pytest.fixture(scope="session")
def hours() -> pd.DataFrame:
    return demand.clean(pd.read_csv(io.BytesIO(gzip.decompress(DEMAND.data.path.read_bytes()))))
