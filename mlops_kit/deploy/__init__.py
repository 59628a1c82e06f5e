"""Make a built stack exist: pack, upload, plan, apply, remove."""
