"""Speed and memory, each a ratio to a peer or a floor measured in the same run. Run: make bench."""
