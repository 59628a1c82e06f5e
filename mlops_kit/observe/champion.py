"""The champion: the newest approved version in the model registry, and what it predicts; never changed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import KitError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_LARGEST = 2 * 1024**3  # bytes of an unpacked model
# what a person looks at first, in this order; the rest of the lineage follows folded
_FIRST = ("as_of", "train_start", "train_end", "rows", "wape", "mae", "rmse", "bias", "packages")


@dataclass(frozen=True, repr=False)
class Champion:
    """A version of a model package group.

    Attributes
    ----------
    group : str
        Model package group.
    version : int
        Its number in the group.
    arn : str
        Of the model package.
    created : datetime
        When it was registered.
    model_data : str
        S3 URI of ``model.tar.gz``.
    metadata : mapping of str to str
        Lineage: commit, data hash, window, metrics, packages, digest of the archive.
    endpoint : str
        Name of the endpoint that serves it.
    """

    group: str
    version: int
    arn: str
    created: datetime
    model_data: str
    metadata: Mapping[str, str]
    endpoint: str
    _s3: Any = field(compare=False)
    _runtime: Any = field(compare=False)
    _opened: dict[str, Any] = field(default_factory=dict, compare=False)

    def load(self) -> Any:
        """The model itself, after its archive's digest was found to be the registered one.

        Raises
        ------
        KitError
            The archive is not the one that was registered (a pickle that anyone could have put there is not
            opened), or the libraries here cannot read it.
        """
        return self._open()["model"]

    def features(self) -> list[str]:
        """Names of the features, in the order in which the model takes them."""
        return list(self._open()["facts"]["features"])

    def sample(self, rows: int = 48) -> pd.DataFrame:
        """The last hours of the window that it was judged on, features and truth.

        Parameters
        ----------
        rows : int
            How many hours.
        """
        import pandas as pd

        body = self._read(self.metadata["test_data"])
        return pd.read_parquet(io.BytesIO(body)).tail(rows).reset_index(drop=True)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Predictions of the model loaded into this process.

        Parameters
        ----------
        frame : pandas.DataFrame
            With at least the features.

        Returns
        -------
        numpy.ndarray
            One value a row.
        """
        import numpy as np

        return np.asarray(self.load().predict(frame[self.features()]), dtype=float)

    def invoke(self, frame: pd.DataFrame) -> np.ndarray:
        """Predictions of the endpoint.

        Parameters
        ----------
        frame : pandas.DataFrame
            With at least the features.

        Returns
        -------
        numpy.ndarray
            One value a row.

        Raises
        ------
        KitError
            The endpoint does not serve, or the model refuses the rows.
        """
        import numpy as np
        from botocore.exceptions import ClientError

        rows = frame[self.features()].to_csv(index=False).encode()
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=self.endpoint, ContentType="text/csv", Accept="application/json", Body=rows
            )
        except ClientError as error:
            raise KitError(
                f"The endpoint {self.endpoint} gives no predictions.",
                cause=error.response["Error"].get("Message"),
                suggestion="look at its log group, /aws/sagemaker/Endpoints/" + self.endpoint,
            ) from None
        return np.asarray(json.loads(answer["Body"].read())["predictions"], dtype=float)

    def _open(self) -> dict[str, Any]:
        """Model and facts, unpacked once."""
        if not self._opened:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                self._unpack(folder)
                facts = json.loads((folder / "facts.json").read_text())
                try:
                    import joblib  # comes with scikit-learn, which the extra `local` brings

                    model = joblib.load(folder / "model.joblib")
                except (ImportError, AttributeError) as error:
                    raise self._unreadable(error) from error
            self._opened.update(model=model, facts=facts)
        return self._opened

    def _unpack(self, folder: Path) -> None:
        body = self._read(self.model_data)
        digest, registered = hashlib.sha256(body).hexdigest(), self.metadata.get("model_sha256")
        if digest != registered:
            raise KitError(
                f"{self.model_data} is not the archive that {self.group} version {self.version} is.",
                cause=f"its SHA-256 is {digest}, registered is {registered}",
                suggestion="do not load it; retrain, or restore the object's former version.",
            )
        with tarfile.open(fileobj=io.BytesIO(body)) as packed:
            if sum(member.size for member in packed.getmembers()) > _LARGEST:
                raise KitError(f"{self.model_data} unpacks to more than 2 GiB.")
            packed.extractall(folder, filter="data")

    def _unreadable(self, error: Exception) -> KitError:
        made = self.metadata.get("packages", "other libraries")
        return KitError(
            f"{self.group} version {self.version} cannot be read with the libraries here.",
            cause=f"{error}; it was made with {made}",
            suggestion="install those, or ask the endpoint with invoke().",
        )

    def _read(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    @property
    def _title(self) -> str:
        return f"{self.group} version {self.version}, registered {self.created:%Y-%m-%d %H:%M:%S}"

    def _rows(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """What a person looks at first, and the rest."""
        rest = sorted(set(self.metadata) - set(_FIRST))
        first = [(name, _short(self.metadata[name])) for name in _FIRST if name in self.metadata]
        return first, [(name, self.metadata[name]) for name in rest]

    def __str__(self) -> str:
        first, rest = self._rows()
        width = max((len(name) for name, _ in [*first, *rest]), default=0)
        return "\n".join([self._title, *(f"  {name:{width}}  {value}" for name, value in [*first, *rest])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        first, rest = self._rows()
        folded = f"<details><summary>all of its lineage</summary>{_table(rest)}</details>" if rest else ""
        head = f"<p><b>{escape(self._title)}</b></p>"
        return f'<div class="mathjax_ignore">{head}{_table(first)}{folded}</div>'


def find(sagemaker: Any, s3: Any, runtime: Any, group: str, endpoint: str) -> Champion:
    """The newest approved version of a group.

    Parameters
    ----------
    sagemaker, s3, runtime : botocore clients
        Of the services ``sagemaker``, ``s3`` and ``sagemaker-runtime``.
    group : str
        Model package group.
    endpoint : str
        Endpoint that serves its champion.

    Raises
    ------
    KitError
        No version is approved.
    """
    from botocore.exceptions import ClientError

    try:
        found = sagemaker.list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=1,
        )["ModelPackageSummaryList"]
    except ClientError as error:
        if "does not exist" not in error.response["Error"]["Message"]:
            raise
        found = []  # not even the group
    if not found:
        raise KitError(
            f"{group} has no approved version: there is no champion yet.",
            suggestion="run the retraining; it approves a version once its endpoint is in service.",
        )
    package = sagemaker.describe_model_package(ModelPackageName=found[0]["ModelPackageArn"])
    return Champion(
        group=group,
        version=package["ModelPackageVersion"],
        arn=package["ModelPackageArn"],
        created=package["CreationTime"],
        model_data=package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
        metadata=package.get("CustomerMetadataProperties", {}),
        endpoint=endpoint,
        _s3=s3,
        _runtime=runtime,
    )


def _short(value: str) -> str:
    """A figure to four digits; anything else as it is."""
    try:
        return f"{float(value):.4g}" if "." in value else value
    except ValueError:
        return value


def _table(rows: list[tuple[str, str]]) -> str:
    cell = 'style="text-align:left"'
    body = "".join(
        f"<tr><th {cell}>{escape(name)}</th><td {cell}>{escape(value)}</td></tr>" for name, value in rows
    )
    return f"<table>{body}</table>"
