"""Sources of video -> files and a manifest: one row a video, dead ones with their reason."""
