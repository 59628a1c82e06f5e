"""Scripts that run inside Glue and SageMaker; each imports what its image holds and what travels with it."""
