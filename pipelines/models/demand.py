"""The demand model: rentals of every hour, for the fleet's dispatch."""

from __future__ import annotations

from mlops_kit.artifacts import DataFile
from mlops_kit.trigger import Schedule
from pipelines.models.spec import ROOT, ModelSpec

DEMAND = ModelSpec(
    name="demand",
    description="Hourly demand of a bike-sharing fleet",
    data=DataFile("raw/demand/bike_sharing_hourly.csv.gz", ROOT / "data" / "bike_sharing_hourly.csv.gz"),
    # WAPE of a season is 0.13 to 0.25 after a retraining; November and December stay hard for every model.
    thresholds={"wape": 0.35, "worse_by": 0.02},
    schedule=Schedule("cron(0 3 ? * MON *)", "Europe/Berlin", name="retrain-demand"),
    hyperparameters={"max_iter": 300, "learning_rate": 0.06, "random_state": 0},
)
