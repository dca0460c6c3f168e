"""Helpers of report.py, the page of a run: what is right and wrong, pictures, score curves, and the HTML itself."""
