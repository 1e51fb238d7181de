"""A guest that is a package."""
