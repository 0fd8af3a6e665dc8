"""Tasks, the database threads, versions of cached data, who this process is."""
