"""What the gateway adds where Ollama lacks a feature: forced calls, checked formats, thinking."""
