"""The version of the client, also sent to the upstream in `User-Agent`."""

__version__ = "0.1.0"
