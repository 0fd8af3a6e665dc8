"""Connect an app: how it is set up, and a test by the calls it makes."""
