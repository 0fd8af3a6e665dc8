"""The public contract, seen over raw HTTP."""
