"""Numbers as people read them."""


def size(count: float) -> str:
    """Bytes in powers of 1000: 190 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB" if count < 999.5 else f"{count:,.0f} TB"


def hours(count: float) -> str:
    """Hours: 1,234 or 0.05; no text where there are none."""
    if not count:
        return ""
    if count < 0.005:
        return "<.01"
    return f"{count:.2f}" if count < 10 else f"{count:,.0f}"
