"""Attacks, credentials, and secrets that must stay secret."""
