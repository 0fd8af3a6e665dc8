"""The clients people use, and how they are set up."""
