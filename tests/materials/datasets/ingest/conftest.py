"""A source of good and bad crystals, and its ingestion."""

import pandas as pd
import pytest

from tests.materials.datasets.ingest.ingest_helpers import BAD, GOOD, ingest_into
from unimat.materials.datasets.settings import IngestSettings
from unimat.settings import load_settings


@pytest.fixture
def source(tmp_path):
    ids = [*GOOD, *BAD, "good-1"]
    texts = [*GOOD.values(), *(text for text, _ in BAD.values()), GOOD["good-1"]]
    gaps = [5.0, *[None] * (len(ids) - 1)]
    pd.DataFrame({"material_id": ids, "cif": texts, "gap": gaps}).to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


@pytest.fixture
def ingested(tmp_path):
    def run(source, n_processes=1, out="out", **changes):
        given = source if isinstance(source, dict) else str(source)
        settings = load_settings(IngestSettings, {"name": "custom", "source": given, **changes})
        return ingest_into(tmp_path / out, settings, None, n_processes)

    return run
