"""Input channels of a training job: checked, described to the script, downloaded; must not know a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops_kit.local.sagemaker.records import refusal
from mlops_kit.local.sagemaker.transfer import Location, Transfer, expand


def check(channel: dict[str, Any]) -> None:
    """Refuse a source that the embedded AWS cannot read.

    Raises
    ------
    AwsError
        ``ValidationException``.
    """
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise refusal(f"The channel {name!r}: the embedded AWS reads S3 data sources only.")
    if not source["S3Uri"].startswith("s3://"):
        raise refusal(f"The channel {name!r}: {source['S3Uri']!r} is no S3 URI; begin it with s3://.")
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise refusal(
            f"The channel {name!r}: the embedded AWS reads S3Prefix and ManifestFile, "
            f"no {source['S3DataType']}."
        )
    if channel.get("InputMode") == "Pipe":
        raise refusal(
            f"The channel {name!r}: the embedded AWS serves input mode File (and FastFile as File), no Pipe."
        )


def no_objects(uri: str, region: str, role: str) -> str:
    """AWS's words for a channel without data."""
    bucket = Location.of(uri).bucket
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
        f"exists in the selected region ({region}), that objects exist under that S3 prefix, and that the "
        f'role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


def config(channel: dict[str, Any], view: dict[str, Any]) -> dict[str, str]:
    """What ``inputdataconfig.json`` says of a channel."""
    source = channel["DataSource"]["S3DataSource"]
    said = {
        "TrainingInputMode": channel.get("InputMode", view["AlgorithmSpecification"]["TrainingInputMode"]),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return said | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def download(channel: dict[str, Any], folder: Path, transfer: Transfer) -> None:
    """Put a channel's data into its folder, decompressed when the channel says so.

    Raises
    ------
    DataError
        It cannot be read.
    """
    source = channel["DataSource"]["S3DataSource"]
    folder.mkdir(parents=True, exist_ok=True)
    get = transfer.get_manifest if source["S3DataType"] == "ManifestFile" else transfer.get_prefix
    for file in get(source["S3Uri"], folder):
        expand(file, channel.get("CompressionType", "None"))
