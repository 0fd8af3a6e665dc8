"""The console through Flask's test client: guards, forms, texts, figures."""
