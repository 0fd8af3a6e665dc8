"""What dashboards and explorers compute: for the console, the REST API and the command line."""
