"""What a run publishes: copies of its tables, models and pairs with their provenance, for DVC."""
