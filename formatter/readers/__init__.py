"""One reader a kind of source; ``formatter.detect`` finds the one that fits."""
