"""Bundles on their way to us: in parts that survive a cut, or in one piece."""
