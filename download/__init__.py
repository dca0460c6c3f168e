"""Helpers of download_video_script.py, the stage that turns annotations into video files and a manifest."""
