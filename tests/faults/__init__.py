"""Faults on purpose: each stage as a process of its own, killed or starved, then compared with an undisturbed run."""
