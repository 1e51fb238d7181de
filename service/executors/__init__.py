"""What acts on runs and observes them; it decides nothing."""
