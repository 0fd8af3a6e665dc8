"""The languages clients speak, as pure functions between their JSON and our values."""
