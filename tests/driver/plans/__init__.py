"""Random queries over skewed tables: their answers are SQLite's, and no plan is far from the best one."""
