"""What happened: executions read from their history, kept, charted, costed and reported; never changed."""
