"""Signing in through an OpenID provider: asking it, and believing what it says only as far as the
standard allows (OpenID Connect Core 1.0, section 3.1)."""
