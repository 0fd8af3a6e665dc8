"""The version of the gateway; the same as in pyproject.toml, which a test holds."""

VERSION = "1.0.0"
