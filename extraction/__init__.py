"""Helpers of feature_map_extractor.py: frames into batches, threads, the CNN's runtimes, clusters."""
