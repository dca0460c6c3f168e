"""A finished run as files that other runtimes read, see trainer.py."""
