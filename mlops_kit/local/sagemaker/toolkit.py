"""What AWS's training toolkit hands to a script: arguments and SM_* variables; pure, touches no file.

The rules are those of ``sagemaker-training`` 5.1.4, whose answers a test holds this module against.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

HOST = "algo-1"
GROUP = "homogeneousCluster"

# Hyperparameters of the toolkit itself; others that begin with "sagemaker_" go into SM_FRAMEWORK_PARAMS.
_OWN = {
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_region",
    "sagemaker_s3_output",
}


def resource_config(instance_type: str, host: str = HOST) -> dict[str, Any]:
    """Content of ``resourceconfig.json`` for one instance."""
    group = {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": [host]}
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": GROUP,
        "hosts": [host],
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


@dataclass(frozen=True)
class Script:
    """A training script as the toolkit would run it.

    Attributes
    ----------
    base : pathlib.Path
        Stands for ``/opt/ml``.
    given : mapping
        Hyperparameters as the API has them: text.
    resources : mapping
        Content of ``resourceconfig.json``.
    channels : mapping
        Content of ``inputdataconfig.json``.
    job_name, region, framework : str
        Name of the job, AWS region, and the image's ``SAGEMAKER_TRAINING_MODULE``.
    """

    base: Path
    given: Mapping[str, str]
    resources: Mapping[str, Any]
    channels: Mapping[str, Any]
    job_name: str
    region: str
    framework: str

    @cached_property
    def decoded(self) -> dict[str, Any]:
        """Hyperparameters as JSON values; what is no JSON stays text."""
        return {name: _decode(text) for name, text in self.given.items()}

    @property
    def program(self) -> str | None:
        """The entry point, ``sagemaker_program``."""
        program = self.decoded.get("sagemaker_program")
        return None if program is None else str(program)

    @property
    def source(self) -> str | None:
        """Where the source stands, ``sagemaker_submit_directory``."""
        source = self.decoded.get("sagemaker_submit_directory")
        return None if source is None else str(source)

    @property
    def code(self) -> Path:
        """The folder that the script runs in."""
        return self.base / "code"

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What the script may see."""
        return {name: value for name, value in self.decoded.items() if not name.startswith("sagemaker_")}

    @property
    def arguments(self) -> list[str]:
        """``--name value`` pairs sorted by name; one letter gets one dash, a mapping becomes ``k=v,k=v``."""
        pairs = sorted(self.hyperparameters.items())
        return [
            text
            for name, value in pairs
            for text in (f"{'--' if len(name) > 1 else '-'}{name}", _argument(value))
        ]

    def variables(self) -> dict[str, str]:
        """Every variable that the toolkit sets for the script."""
        values = self._values()
        shown = {
            **{name: value for name, value in values.items() if name not in _ONLY_IN_TRAINING_ENV},
            "hps": values["hyperparameters"],
            "framework_params": values["additional_framework_parameters"],
            "channels": sorted(self.channels),
            "training_env": values,
            "user_args": self.arguments,
            **{f"channel_{name}": path for name, path in values["channel_input_dirs"].items()},
            **{f"hp_{name}": value for name, value in self.hyperparameters.items()},
        }
        return {
            **{f"SM_{name.upper()}": _text(value) for name, value in shown.items()},
            "CURRENT_HOST": self.resources["current_host"],
            "SAGEMAKER_JOB_NAME": _text(self.decoded.get("sagemaker_job_name", "")),
            "SAGEMAKER_REGION": _text(self.decoded.get("sagemaker_region", self.region)),
            "SAGEMAKER_TRAINING_MODULE": self.framework,
            "PYTHONPATH": str(self.code),
        }

    def _values(self) -> dict[str, Any]:
        groups = self.resources["instance_groups"]
        framework = {n: v for n, v in self.decoded.items() if n.startswith("sagemaker_") and n not in _OWN}
        return {
            **self._folders(),
            "additional_framework_parameters": framework,
            "current_host": self.resources["current_host"],
            "current_instance_group": self.resources["current_group_name"],
            "current_instance_group_hosts": groups[0]["hosts"],
            "current_instance_type": self.resources["current_instance_type"],
            "distribution_hosts": [],
            "distribution_instance_groups": [],
            "framework_module": self.framework,
            "hosts": self.resources["hosts"],
            "hyperparameters": self.hyperparameters,
            "input_data_config": self.channels,
            "instance_groups": [group["instance_group_name"] for group in groups],
            "instance_groups_dict": {group["instance_group_name"]: group for group in groups},
            "is_hetero": False,
            "is_master": True,
            "is_modelparallel_enabled": None,
            "is_smddpmprun_installed": False,
            "is_smddprun_installed": False,
            "job_name": self.job_name,
            "log_level": self.decoded.get("sagemaker_container_log_level", 20),
            "master_hostname": self.resources["current_host"],
            "module_name": (self.program or "").removesuffix(".py"),
            "network_interface_name": self.resources["network_interface_name"],
            "num_cpus": os.cpu_count() or 1,
            "num_gpus": 0,
            "num_neurons": 0,
            "resource_config": self.resources,
            "topology": [],
            "user_entry_point": self.program,
        }

    def _folders(self) -> dict[str, Any]:
        base = self.base
        return {
            "channel_input_dirs": {name: str(base / "input" / "data" / name) for name in self.channels},
            "input_config_dir": str(base / "input" / "config"),
            "input_dir": str(base / "input"),
            "model_dir": str(base / "model"),
            "module_dir": self.source or str(self.code),
            "output_data_dir": str(base / "output" / "data"),
            "output_dir": str(base / "output"),
            "output_intermediate_dir": str(base / "output" / "intermediate"),
        }


_ONLY_IN_TRAINING_ENV = {
    "additional_framework_parameters",
    "channel_input_dirs",
    "distribution_hosts",
    "hyperparameters",
    "is_master",
    "is_modelparallel_enabled",
    "is_smddpmprun_installed",
    "is_smddprun_installed",
    "job_name",
    "master_hostname",
    "topology",
}


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={item}" for name, item in sorted(value.items()))
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
