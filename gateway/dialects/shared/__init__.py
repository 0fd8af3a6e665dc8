"""What several dialects need to read a request or to write an answer."""
