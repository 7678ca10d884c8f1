"""Measurements against a baseline that does the same work; see README.md."""

import sys
from pathlib import Path

# The layer with the code that functions share is not installed anywhere.
sys.path.append(str(Path(__file__).parent.parent / "layers" / "codegen"))
