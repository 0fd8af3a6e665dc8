"""Measure what a call through the gateway costs, beside nginx and a plain Flask proxy."""
