"""The audit log as sentences: who did what, and what changed of it."""
