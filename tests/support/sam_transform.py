"""Print the template as the SAM transform of CloudFormation makes it. Runs in `.venv-sam`, where the translator is.

Standard input has a list of transforms as JSON, each with values of parameters and the time in seconds. Standard output
gets the list of the results.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
LOCAL_PATHS = ("CodeUri", "ContentUri", "DefinitionUri")


class NoPolicies:
    """The template uses no managed policy of AWS by its name."""

    def load(self) -> dict[str, str]:
        return {}


def packaged() -> dict[str, Any]:
    """Return the template with every local path uploaded, as `sam package` does."""
    template: dict[str, Any] = yaml_parse(TEMPLATE.read_text("utf-8"))
    for resource in template["Resources"].values():
        for name in LOCAL_PATHS:
            if name in resource.get("Properties", {}):
                resource["Properties"][name] = f"s3://bucket/{resource['Properties'][name]}"
    return template


def main() -> None:
    logging.disable(logging.WARNING)
    results = []
    for wanted in json.load(sys.stdin):
        with patch("time.time", lambda now=wanted["time"]: now):
            results.append(transform(packaged(), wanted["parameters"], NoPolicies()))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
