"""Lambda handlers of pipelines: standard library and boto3."""
