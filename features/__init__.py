"""Feature files -> prepared features, windows and batches; what data.py is made of."""
