"""Bodies nobody would write, by the thousand: `FULL=1` sends 200,000."""
