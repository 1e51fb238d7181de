"""The linear baseline: pixels, values or counts, and one layer on them."""
