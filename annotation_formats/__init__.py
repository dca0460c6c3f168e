"""Annotation files of other kinds -> ours; what annotations.py is made of."""
