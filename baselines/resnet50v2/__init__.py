"""The deep baseline: ResNet50V2 (He et al. 2016) from scratch."""
