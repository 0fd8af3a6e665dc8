"""Pages about usage and single requests."""
