"""Scene classification on MIT Indoor 67."""
