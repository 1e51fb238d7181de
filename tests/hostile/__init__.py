"""Datasets that are broken, or good but odd; each is made by code when its test runs."""
