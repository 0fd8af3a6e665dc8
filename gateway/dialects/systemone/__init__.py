"""Ollama's `POST /v1/systemone`: typed questions, answered with probabilities."""
