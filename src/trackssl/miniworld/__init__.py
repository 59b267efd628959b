"""The built-in world: videos and benchmark data drawn from a seed, in the real formats."""

# Of what is drawn: raised with each change of it, so that no older drawing is taken for a new one.
VERSION = 1
