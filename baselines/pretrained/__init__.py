"""The pretrained baseline: MobileNetV2's features of pictures, and one layer on them."""
