"""The fine-tuned baseline: a pretrained network that learns on, with no controller over it."""
