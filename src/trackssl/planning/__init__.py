"""What a run will cost, from its config and from measured figures, before anything runs."""
