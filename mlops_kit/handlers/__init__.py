"""Code of the kit that runs inside Lambda: standard library and boto3 alone."""
