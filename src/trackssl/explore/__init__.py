"""What a network learned, without labels or with few: neighbours, a map, look-alikes, a probe."""
