"""Several gateways as one, for real: PostgreSQL, Redis, nginx, and processes that come and go."""
