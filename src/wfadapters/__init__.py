"""Adapters: stores for the ports of wfcore, and what they share."""
