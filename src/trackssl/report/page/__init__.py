"""A finished run as one page that opens from disk: results/report/index.html."""
