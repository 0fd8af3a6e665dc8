"""OpenAI's `POST /v1/decisions`: typed questions, answered with probabilities."""
