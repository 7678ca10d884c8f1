"""`python -m codegen_cli`."""

from . import main

main()
