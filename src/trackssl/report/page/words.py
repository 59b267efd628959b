"""How methods, metrics and counts are said on the page."""

import math

_METRICS = {
    "mAP": "mAP, %",
    "top20_by_query": "right class among the 20 nearest, %",
    "top20_by_class": "the same, mean of classes, %",
    "p1": "nearest, %",
    "p5": "5 nearest, %",
    "p10": "10 nearest, %",
    "p20": "20 nearest, %",
    "accuracy_per_class": "accuracy, mean of classes, %",
    "accuracy": "accuracy, %",
    "mean": "mean angle, degrees",
    "median": "median angle, degrees",
    "within_11_25": "within 11.25 degrees, %",
    "within_22_5": "within 22.5 degrees, %",
    "within_30": "within 30 degrees, %",
}


def metric_words(metric: str) -> str:
    """A metric with its unit; a class's AP goes by the class."""
    return _METRICS.get(metric, f"{metric}, AP %")


def count(number: float) -> str:
    """A count with separators: 1,200."""
    return f"{number:,.0f}"


def plural(number: int, noun: str, more: str = "") -> str:
    """ "1 video", "150 videos"."""
    return f"{count(number)} {noun if number == 1 else more or noun + 's'}"


def duration(seconds: float) -> str:
    """A time as people say it: "45 s", "12 min", "3.4 h", "5.1 days"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:.1f} days"


def number(value: float, digits: int = 1) -> str:
    """A value with so many digits after the point, nothing where there is none; a real minus."""
    return "" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 1) -> str:
    """The same with its sign."""
    if math.isnan(value):
        return ""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def certain(source: str) -> bool:
    """Whether a number of the paper stands in a source that was read, and is not from memory."""
    return bool(source) and not source.startswith("unconfirmed")


def certainty(source: str) -> str:
    """In one word."""
    return "" if not source else "stated" if certain(source) else "unconfirmed"
