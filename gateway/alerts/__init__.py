"""Alerts: what is wrong is found, put into words, and sent to whom it concerns."""
