"""How a workflow is drawn: words, layers, lanes, lines. `mlops_kit.build.graph` is the front."""
