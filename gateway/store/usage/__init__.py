"""Usage records, their sums, and the queries over them."""
