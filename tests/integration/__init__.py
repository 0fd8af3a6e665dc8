"""A running gateway, seen from outside: what its parts promise together."""
