"""Measurements against a baseline that does the same job; see README.md."""

import sys
from pathlib import Path

# What the functions share is a layer, not installed anywhere.
sys.path.append(str(Path(__file__).parent.parent / "layers" / "codegen"))
