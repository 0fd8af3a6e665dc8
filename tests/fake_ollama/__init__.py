"""Proves that the fake does over a real socket what it says."""
