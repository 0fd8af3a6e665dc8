"""What the parts promise together: records, limits, logs and ends of calls on a running gateway."""
