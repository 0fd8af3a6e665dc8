"""The database itself: engine, schema, first rows."""
