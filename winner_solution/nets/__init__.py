"""The frozen networks: readers of their weight files and the graphs that run them."""
