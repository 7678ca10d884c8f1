"""Cancel and pause runs, as far as the Codegen API allows it, and report what happens."""
