"""What administrators change: keys, models, servers, accounts, settings."""
