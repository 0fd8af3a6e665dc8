"""Pages about models and their jobs."""
