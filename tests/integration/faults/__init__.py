"""What breaks: Ollama, its network, the store, the disk, and parts of our own."""
