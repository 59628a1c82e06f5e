"""Feature code, one module a model; runs in Glue, in SageMaker and here, on pandas and numpy alone."""
