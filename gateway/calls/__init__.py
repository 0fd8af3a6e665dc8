"""One call: from a parsed request to the settled record."""
