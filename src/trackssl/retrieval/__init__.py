"""Nearest neighbours: which windows of VOC lie nearest to an object, by the cosine of features."""
