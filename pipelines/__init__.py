"""Pipelines: pure definitions, one module a pipeline, each with ``build(settings, ...) -> Pipeline``."""
