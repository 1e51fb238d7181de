"""Kills, a full disk and a broken store, while people submit; then everything is counted."""
