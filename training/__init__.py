"""Prepared windows -> a trained run; what trainer.py is made of."""
