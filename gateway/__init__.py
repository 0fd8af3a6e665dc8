"""Ollama2OpenAI: an OpenAI- and Anthropic-compatible gateway in front of Ollama."""
