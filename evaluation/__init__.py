"""Predictions against annotations -> figures; what metrics.py is made of."""
