"""Record what AWS's own training toolkit hands to a script; run where ``sagemaker-training`` is installed.

python record_toolkit.py > toolkit_5_1_4.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = {
    "plain": {"depth": "3", "flag": "true", "name": '"a"', "raw": "abc", "lst": "[1, 2]", "n": "null"},
    "odd": {"a": "1.50", "b-c": '"x y"', "d": '{"k": 1, "a": "b"}', "big": "1e3",
            "empty": '""', "path": "/opt/ml/model"},
    "none": {},
    "framework": {"sagemaker_container_log_level": "20", "sagemaker_region": '"eu-west-1"',
                  "sagemaker_job_name": '"job-1"', "sagemaker_extra": '{"x": true}', "alpha": "0.1"},
}  # fmt: skip
SCRIPT = """
import json, os, sys
seen = {"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)}
open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w").write(json.dumps(seen))
"""
KEPT = ("SM_", "SAGEMAKER_", "CURRENT_HOST", "TRAINING_JOB")


def record(hyperparameters: dict[str, str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder).resolve()
        source = base / "source"
        config = base / "input" / "config"
        for path in (source, config, base / "model", base / "input/data/train", base / "input/data/test-set"):
            path.mkdir(parents=True)
        (source / "train.py").write_text(SCRIPT)
        given = {
            **hyperparameters,
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": json.dumps(str(source)),
        }
        files = {
            "hyperparameters": given,
            "resourceconfig": {
                "current_host": "localhost",
                "current_instance_type": "ml.m5.large",
                "current_group_name": "homogeneousCluster",
                "hosts": ["localhost"],
                "instance_groups": [
                    {
                        "instance_group_name": "homogeneousCluster",
                        "instance_type": "ml.m5.large",
                        "hosts": ["localhost"],
                    }
                ],
                "network_interface_name": "eth0",
            },
            "inputdataconfig": {
                name: {
                    "TrainingInputMode": "File",
                    "S3DistributionType": "FullyReplicated",
                    "RecordWrapperType": "None",
                }
                for name in ("train", "test-set")
            },
        }
        for name, content in files.items():
            (config / f"{name}.json").write_text(json.dumps(content))
        environment = {
            "PATH": os.environ["PATH"],
            "SAGEMAKER_BASE_DIR": str(base),
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "SAGEMAKER_TRAINING_MODULE": "",
            "TRAINING_JOB_NAME": "job-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        train = Path(sys.executable).with_name("train")
        subprocess.run([train], env=environment, check=True, capture_output=True, timeout=120)
        text = (base / "model" / "seen.json").read_text().replace(json.dumps(str(base))[1:-1], "BASE")
        seen = json.loads(text)
        seen["env"] = {k: v for k, v in sorted(seen["env"].items()) if k.startswith(KEPT)}
        return {"files": json.loads(json.dumps(files).replace(str(base), "BASE")), "seen": seen}


if __name__ == "__main__":
    print(json.dumps({name: record(case) for name, case in CASES.items()}, indent=1, sort_keys=True))
