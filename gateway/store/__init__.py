"""The database: tables, and functions that take a Session and give core values."""
