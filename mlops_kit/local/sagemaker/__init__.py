"""SageMaker of the embedded AWS: jobs, endpoints and the model registry as real processes and records."""
