"""A page with every state of models, keys, servers, requests and jobs, for tests only."""
