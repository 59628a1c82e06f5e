"""The embedded AWS: one local process, one loopback port, AWS's own endpoints (extra ``local``)."""
