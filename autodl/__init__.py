"""The shared language of the field: datasets, bundles, predictions, scores."""
