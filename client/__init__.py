"""The typed Python SDK, usable alone."""
