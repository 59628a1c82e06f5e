"""Which container images the embedded AWS stands in for; must not run anything."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass

from mlops_kit.local.sagemaker.records import refusal

_KNOWN = {
    "sagemaker-scikit-learn": "sklearn",
    "sagemaker-xgboost": "xgboost",
}  # repository -> module it needs
# Images of which a processing job may want their Python alone; one that imports torch needs it here, too.
_PYTHON = ("pytorch-training",)
_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.[a-z0-9-]+\.[a-z.]+/(?P<repository>[^:@]+)(?:[:@](?P<tag>.+))?"
)


@dataclass(frozen=True)
class Image:
    """A framework image that runs in this environment's Python.

    Attributes
    ----------
    uri : str
        As the caller gave it.
    framework : str
        Module that the image is for, ``sklearn`` or ``xgboost``.
    module : str
        What the image names as ``SAGEMAKER_TRAINING_MODULE``.
    """

    uri: str
    framework: str
    module: str


def check_processing_image(uri: str) -> None:
    """Refuse an image that no processing job can run in here.

    Raises
    ------
    AwsError
        As `known_image`.
    """
    match = _URI.fullmatch(uri)
    if not match or match["repository"] not in _PYTHON:
        known_image(uri)


def known_image(uri: str) -> Image:
    """The image behind a URI, recognised by its repository's name.

    Raises
    ------
    AwsError
        ``ValidationException`` that names the images the embedded AWS knows.
    """
    match = _URI.fullmatch(uri)
    framework = _KNOWN.get(match["repository"]) if match else None
    if framework is None:
        raise refusal(
            f"The embedded AWS does not know the image {uri}. It runs the framework images "
            f"{' and '.join(sorted(_KNOWN))} in its own Python environment; ask "
            "sagemaker.image_uris.retrieve for their URIs, or run this job on AWS."
        )
    if importlib.util.find_spec(framework) is None:
        raise refusal(
            f"The image {uri} needs {framework}, which this environment does not have: pip install it."
        )
    return Image(uri, framework, f"sagemaker_{framework}_container.training:main")
