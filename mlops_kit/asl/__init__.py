"""The Amazon States Language itself: paths, intrinsics, JSONata, choice rules, checks. Pure; no AWS, no clock of its own.

The linter and the embedded engine both stand on this room, so that they agree on what is valid.
"""
