"""Usage records, metrics, traces, retention."""
