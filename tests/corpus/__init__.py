"""Frozen ticks: rows, firings and plans of earlier versions, which every later version has to plan in the same way."""
