"""Pairs of patches: their storage in Arrow shards, the nested sets, what the trainer reads."""
