"""Helpers of label.py, the page to label in: the annotations with their journal, proxies, suggestions, server, page."""
