"""Results that their owners show to everybody of this installation, dataset by dataset."""
