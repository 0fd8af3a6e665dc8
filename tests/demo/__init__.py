"""`python -m tests.demo`: the gateway before a fake Ollama, with a past to look at.

For people who want to look around without a GPU. Everything is made for this run in a folder of
its own and gone afterwards: two fake servers, keys, two weeks of records, and a few callers who
keep asking. The pages are the real ones; the answers are made up.
"""
