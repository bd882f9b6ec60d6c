"""A web shop whose orders are durable workflows, run inside the web server; see README.md."""
