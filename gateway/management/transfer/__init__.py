"""What is taken along and brought in: a configuration, and files of the Node product."""
