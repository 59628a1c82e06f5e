"""Has the data changed since the model was trained? Profiles, statistics, thresholds; no AWS, no charts."""
