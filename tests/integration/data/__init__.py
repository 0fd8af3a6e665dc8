"""What callers send, and what is kept of it. `FULL=1` sends 200,000 bodies nobody would write."""
