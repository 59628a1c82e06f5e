"""What an object in S3 is said to be when nobody said it."""

from __future__ import annotations

import uuid

from tests.conftest import EmbeddedAws


def test_an_object_without_a_content_type_has_aws_s_own(aws: EmbeddedAws) -> None:
    s3, bucket = aws.client("s3"), uuid.uuid4().hex
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="silent", Body=b"x")
    s3.put_object(Bucket=bucket, Key="said", Body=b"x", ContentType="text/csv")
    begun = s3.create_multipart_upload(Bucket=bucket, Key="parts")
    part = {"Bucket": bucket, "Key": "parts", "UploadId": begun["UploadId"]}
    tag = s3.upload_part(**part, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    told = {key: s3.head_object(Bucket=bucket, Key=key)["ContentType"] for key in ("silent", "said", "parts")}
    octets = "binary/octet-stream"
    assert told == {"silent": octets, "said": "text/csv", "parts": octets}
