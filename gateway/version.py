"""The version of the gateway; the same as in pyproject.toml, which a test holds."""

VERSION = "1.0.0"
REPOSITORY = "https://github.com/MotorBottle/Ollama2OpenAI"
"""Where source, documentation and changelog are."""
