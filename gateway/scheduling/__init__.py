"""Servers, deployments, queues: where and when a call runs."""
