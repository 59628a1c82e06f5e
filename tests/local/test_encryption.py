"""What encrypts an object: S3's own key, or the account's, as the SageMaker SDK uploads them."""

from __future__ import annotations

import uuid

from tests.conftest import EmbeddedAws


def test_aws_kms_needs_no_key(aws: EmbeddedAws) -> None:
    s3, bucket = aws.client("s3"), f"encrypted-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["ServerSideEncryption"] == "aws:kms"
    assert answer["SSEKMSKeyId"] == "arn:aws:kms:us-east-1:000000000000:alias/aws/s3"
    assert answer["Body"].read() == b"x"


def test_an_object_is_encrypted_by_s3_when_nobody_says_how(aws: EmbeddedAws) -> None:
    s3, bucket = aws.client("s3"), f"encrypted-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"
