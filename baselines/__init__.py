"""Baselines: what the winning solution is compared with, each a solution of its own.

``constant`` answers one half. ``linear``, ``resnet50v2`` and ``pretrained`` follow the three of the
AutoCV challenge (Liu et al. 2020, Table 2): a linear model, a deep network from scratch, and a
pretrained network whose place MobileNetV2 takes here for InceptionV3, frozen under a linear model;
``finetune`` lets it learn on. They learn twice as long from call to call, validate nothing and
never look back. Each takes every kind of data:

| kind | linear | resnet50v2, finetune | pretrained |
|---|---|---|---|
| images, clips | pixels at 32 x 32 | a clip's middle frame, 64 and 96 pixels | likewise, 96 |
| sounds | values of 8 stretches | log spectrogram as a picture | likewise |
| texts, sparse tables | hashed counts | the counts, folded to a square | as linear |
| tables, series | values, standardised | the values, folded to a square | as linear |
"""
