"""Micro-benchmarks of the pure rooms: what one chunk, one body, one decision costs."""
