"""The costs of a run's jobs, rule by rule."""

from trackssl.planning.image_costs import ImageCosts
from trackssl.planning.video_costs import VideoCosts


class Costs(VideoCosts, ImageCosts):
    """Of every rule."""
