"""Step Functions of the embedded AWS: an engine that remembers what it did; `api.py` is the way in."""
