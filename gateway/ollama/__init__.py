"""Ollama on the wire: HTTP client, and pure encoding and decoding."""
