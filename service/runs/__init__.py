"""What a run's own programs say to the service from afar."""
