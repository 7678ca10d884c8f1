"""The doorbell: the webhook at Codegen that has a run read as soon as it ends."""
