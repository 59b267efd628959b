"""Motion-filtered patches and their tracks: video -> pairs (paper, sec. 4)."""
