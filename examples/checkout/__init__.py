"""An order shop whose checkouts are durable workflows on one SQLite file; see README.md."""
