"""Parts of localize.py: the inputs, the model that is found, the results and their files, the live mode."""
