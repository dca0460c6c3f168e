"""What `video_input.py` stands on: the door to video files, the clock of their frames, and how they are turned."""
