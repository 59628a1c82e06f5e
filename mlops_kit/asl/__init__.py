"""The Amazon States Language itself: paths, intrinsics, JSONata, choice rules, checks. Pure: no AWS.

The linter and the embedded engine both stand on this room, so that they agree on what is valid.
"""
