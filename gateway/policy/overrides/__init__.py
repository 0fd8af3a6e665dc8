"""Parameters that administrators set: their keys, rules and application."""
