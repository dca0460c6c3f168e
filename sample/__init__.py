"""Helpers of sample_videos.py, the script that draws the sample data set: motion, figure and scenery."""
