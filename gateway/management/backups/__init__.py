"""Backups of SQLite: a copy with everything, made by hand or on a schedule, and its way back."""
