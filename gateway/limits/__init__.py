"""A key's limits: per minute, concurrent, budgets."""
