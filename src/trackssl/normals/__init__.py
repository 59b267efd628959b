"""Surface normals of NYU Depth v2, as words of a codebook on a grid (paper, sec. 6)."""
