"""Helpers of trainer.py: the recurrent layer, the optimizer, devices, stopping, warm start, pictures and exports."""
