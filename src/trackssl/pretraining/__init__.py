"""Learning from pairs by ranking (paper, sec. 5), and the return to it from fine-tuned networks."""
