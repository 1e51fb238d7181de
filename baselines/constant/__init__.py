"""The baseline that learns nothing: the floor of every comparison."""
