"""Decisions as pure functions over snapshots."""
