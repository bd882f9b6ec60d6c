"""For every rule a small patch that breaks it, and the test that finds out: ``make mutants``."""
