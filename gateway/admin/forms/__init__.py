"""The forms of the console, one file a page."""
