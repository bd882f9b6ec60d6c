"""Processes that write to an SQLite store are killed with SIGKILL; what they were told is done must be there."""
