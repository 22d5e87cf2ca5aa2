"""What a live camera is promised, on real RTSP servers."""
