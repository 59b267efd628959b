"""Results of all methods -> the tables, ours beside the paper's."""
