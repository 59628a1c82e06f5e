"""What a Python shell job finds of AWS's ``awsglue``: `utils`, and nothing of Spark."""
