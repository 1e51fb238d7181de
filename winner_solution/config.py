"""Every knob of the solution, with its reason. Times are seconds on the reference machine: one
core at 2.6 GHz (``machine.measure_speed`` gives the factor of the machine at hand)."""

from __future__ import annotations

from typing import NamedTuple

SEED = 20240601


class Trees(NamedTuple):
    """A step of gradient boosting; ``closes`` is the share of the gap to 1 that it should close."""

    rounds: int
    leaves: int
    learning_rate: float
    closes: float
    l2: float = 1.0
    named: bool = False  # columns known to hold names are split by sets of them, not by their codes
    least_rows: int = 0


# Any-time control ---------------------------------------------------------------------------
ALC_START_SECONDS = 60.0  # t0 of the contest's log time
RESERVE_SECONDS = 2.0  # kept at the end for writing the last prediction
RESERVE_SHARE = 0.02  # ... or this share of the budget
FIRST_FIT_SECONDS = 0.15  # the first step learns from the rows that are ready by then
FIRST_VALIDATE_SECONDS = 0.1
FIRST_TEST_SECONDS = 0.2  # test rows that are not ready by then get the median at first
FIRST_ROWS = 1000
AGAIN_SECONDS = 2.0  # the first step is at once done again on all rows if it takes less
STEP_PATIENCE = 3.0  # a step may take this many times what was predicted
STEP_GRACE_SECONDS = 5.0  # ... and this
FINAL_CLOSES = 0.05  # prior: what the validation rows add once they are learnt from
TRUST_RANGE = (0.1, 2.0)  # how far a learner's prior is corrected by what it brought
MIN_GAIN = 2e-4  # stop when no step is expected to add this much ALC
GAP_FLOOR = 0.003  # a validation score of 1.0 still leaves this to gain
PUBLISH_CONFIDENCE = 0.75  # one-sided, by paired bootstrap
BOOTSTRAPS = 30

GUARD_SECONDS = 15.0  # a step that is this late is given up, whatever it does
GUARD_LOOK_SECONDS = 0.5
MEMORY_FLOOR_BYTES = 150_000_000  # with less left, the step that runs is given up

PROBE_EXAMPLES = 32  # looked at before anything is decided
DECODED_EXAMPLES = 8  # that decoding is timed with, at most
DECODED_SECONDS = 0.05  # ... and for no longer than this and one example
AUDIO_MIN_STEPS = 2000  # a quarter of a second at 8 kHz; shorter series are not sound
GENERIC_PIXELS = 8  # side of the pictures that the fallback looks at
GENERIC_STEPS = 64  # points of a series that it looks at
CACHE_SHARE = 0.15  # of the free memory, for decoded examples of a subset; the rest decodes anew
CACHE_MAX_BYTES = 1_200_000_000
HALF_MIN_COLUMNS = 1000  # features of more columns are kept in half precision
SCRATCH_MIN_BYTES = 32_000_000  # ... and in a scratch file
RIDGE_MEMORY_SHARE = 0.12  # of the free memory, for the features of one head

# Validation ---------------------------------------------------------------------------------
FOLDS = 4  # cross-validation for small sets; their validation part alone would be noise
FOLDS_MAX_ROWS = 1500
HOLDOUT_SHARE = 0.2
HOLDOUT_MAX_ROWS = 2000  # more adds seconds, not certainty
HOLDOUT_ROWS_PER_CLASS = 20  # ... but allow this many with many classes
MAX_TRAIN_ROWS = 200_000  # of larger sets an evenly spaced part is used
SHIFT_MIN_ROWS = 60  # with fewer, distances say nothing
SHIFT_TRAIN_ROWS = 6000  # more are left as they are
SHIFT_SHARE = 0.05  # of the remaining time, for features to compare
SHIFT_MAX_SECONDS = 20.0
SHIFT_MAX_ROWS = 1500  # looked at, for distances among them are a square matrix
SHIFT_LEAST = 0.05  # excess over one half of the chance that a test row is farther
SHIFT_ERRORS = 1.64  # ... and in standard errors: one in twenty by chance
SHIFT_LIMIT = 5.0  # of a standardised feature
SHIFT_CLUSTERS = (0.85, 0.7, 0.6, 0.5, 0.42, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05)  # to the row

# Ensemble -----------------------------------------------------------------------------------
SELECTION_ROUNDS = 12
SELECTION_MIN_GAIN = 2e-4
SELECTION_BAGS_RANGE = (3, 20)
SELECTION_VALUES = 1_000_000  # rows x classes x members of all bags, about a second of work
SHRINK_ROWS = 400  # weights are half way to even when this many rows validate
SOUND_SHARE = 0.5  # members with at least this share of the best score may be blended
LEAST_WEIGHT = 0.02  # less is not worth predicting the test rows
MAX_LOG_ODDS = 9.0  # so that six digits of a probability still order the rows

# Linear models --------------------------------------------------------------------------------
RIDGE_ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # for standardised features
RIDGE_MIN_ROWS = 8
RIDGE_MAX_FEATURES = 3000  # more are projected at random
RIDGE_MAX_ROWS = 20_000
RIDGE_LIMIT = 10.0  # of a standardised feature
RIDGE_UNSCALED_VARIANCE = 1000.0  # in all, as of so many standardised features: penalties are alike
FROZEN_FIRST_ROWS = 1000  # that a head on costly features learns from first

# Tables ---------------------------------------------------------------------------------------
CATEGORY_MAX_VALUES = 40  # whole-number columns of at most this many values are also one-hot
CATEGORY_MAX_COLUMNS = 200
NAMES_MAX = 300  # of a column known to hold names, the commonest so many
LOGISTIC_INVERSE_PENALTIES = (1e-3, 1e-2, 0.1, 1.0)
LOGISTIC_PARTS = 4  # one is left out to choose the penalty; each in turn in small sets
LOGISTIC_FEW_ROWS = 1000
LOGISTIC_MAX_WORK = 2e8  # rows x columns x classes
SVM_RATIO_C = 0.1  # ... with log-count ratios
SVM_RATIO_PRIOR = 0.1
SVM_C = 1.0  # of sparse rows of length 1: texts and sparse tables
SPARSE_MAX_SCALE = 100.0
KERNEL_LANDMARKS = 1000
KERNEL_MORE_LANDMARKS = 3000  # of features
KERNEL_ENCODER_ROWS = 4000  # that scales are learnt from
KERNEL_WIDTH = 1.0  # of the kernel, in typical distances
FOREST_MAX_ROWS = 5000
FOREST_TREES = ((100, 0.15), (400, 0.04))  # trees, and the share of the gap they should close
FOREST_LOT = 50
FOREST_MIN_LEAF = 2
FOREST_FEATURES = "sqrt"
TREES_MIN_ROWS = 20
BOOSTING = {
    "boosting": (
        Trees(30, leaves=31, learning_rate=0.2, closes=0.25),
        Trees(100, leaves=31, learning_rate=0.1, closes=0.15),
        Trees(300, leaves=31, learning_rate=0.05, closes=0.08),
        Trees(500, leaves=15, learning_rate=0.03, closes=0.08, l2=5.0, named=True),
        Trees(1500, 31, learning_rate=0.03, closes=0.04, l2=5.0, named=True, least_rows=20_000),
    ),
    "boosting-additive": (Trees(400, leaves=4, learning_rate=0.1, closes=0.05),),
}
BOOSTING_MAX_CLASSES = 60

MLP_WIDTH = 256
MLP_HIDDEN_LAYERS = 2
MLP_DROPOUT = 0.25
MLP_LEARNING_RATE = 2e-3
MLP_WEIGHT_DECAY = 0.02
MLP_SMOOTHING = 0.05  # of labels
MLP_BATCH = 128
MLP_EPOCHS = 30
MLP_STEPS_RANGE = (400, 6000)
MLP_MEMBERS = 3
MLP_BINS = 8
MLP_LIMIT = 3.0  # of a standardised value
MLP_MIN_ROWS = 100
MLP_MAX_ROWS = 100_000
MLP_MAX_INPUTS = 2000

# Texts ----------------------------------------------------------------------------------------
TEXT_MANY = 5000
RATIO_MAX_CLASSES = 20
TEXT_HASHES = 2**21  # columns that words, and runs of words or letters, are hashed to
TEXT_MAX_TOKENS = 2000  # of a document
TEXT_MAX_LETTERS = 3000  # of a document
TEXT_LETTER_RUNS = (1, 2, 3, 4, 5)
ENCODER_MAX_TOKENS = 128  # word pieces of a document

TUNE_LAYERS = 3  # of the sentence encoder, the last ones
TUNE_TOKENS_PER_WORD = 1.4
TUNE_EPOCHS = 3
TUNE_BATCH = 16
TUNE_LEARNING_RATE = 1e-4
TUNE_HEAD_FACTOR = 10.0  # of the learning rate
TUNE_WEIGHT_DECAY = 0.01
TUNE_DROPOUT = 0.1
TUNE_PROBE_INVERSE_PENALTY = 5.0
TUNE_MIN_ROWS = 500  # with fewer the frozen encoder is better
TUNE_ROWS = (1000, 4000)
TUNE_CLOSES = (0.2, 0.15, 0.1)
TUNE_MAX_TOKENS = 300_000  # 230 MB of states

# Series and sound -------------------------------------------------------------------------------
COURSE_STEPS = 48
SERIES_MAX_VALUES = 3000  # steps x dimensions of the course
INTERVAL_STEPS_PER_QUANTILE = 4
INTERVAL_FEATURES = 6000
ROCKET_STEPS_RANGE = (16, 512)
ROCKET_FEATURES = 4000
ROCKET_MIXES = 12
ROCKET_MEL_STEPS = 96
HYDRA_GROUPS = 32
HYDRA_KERNELS = 8  # in each
HYDRA_BLOCK = 200_000  # answers at a time
MEL_WINDOW = 512  # samples
MEL_BANDS = 40
MEL_COEFFICIENTS = 20
MEL_PICTURE_STEPS = 64  # that a network sees
MASK_SHARE = 0.2  # of the steps, and of the bands, that a network in training may miss
MEL_MAX_SAMPLES = 320_000  # of a clip: 20 s at 16 kHz, in four stretches
MEL_STRETCHES = 4
SOUND_MAX_WINDOWS = 20  # of a clip, evenly spread
SPEECH_MAX_SAMPLES = 80_000  # 5 s: longer clips give their middle

# Clips ------------------------------------------------------------------------------------------
CLIP_SIDE = 24
CLIP_FRAMES = 12
MOUNTED_FRAMES = 4  # of a clip, seen by the operator's networks
CLIP_CLOSES = 0.5  # prior of heads on frozen networks
CLIP_PATCH_SIDE = 48
CLIP_PATCHES = 128
CLIP_LOOKS = 8  # frames that patches are looked for in
TREND_CLOSES = 0.1  # prior of the head that tells directions; its features are there by then

# Images ---------------------------------------------------------------------------------------
PIXEL_SIDE = 16  # of the first answer
PATCH_SIDE = 32
PATCH_COUNTS = (64, 256)
PATCH_PIXELS = 6  # of a patch's side
PATCH_GRID = 2  # cells of a side that responses are averaged over
PATCH_CONTRAST = 10.0  # added to the variance of a patch, in grey levels of 0..255
PATCH_SMOOTH = 0.5  # added to the variances that whitening divides by, of patches of unit variance
PATCH_THRESHOLD = 0.25
PATCH_PICTURES = 64  # that patches are drawn from
PATCH_DRAWN = 20_000  # patches that whitening is learnt from
NET_SIDE = 32
NET_WIDTH = 16
NET_BATCH = 32
NET_MIN_ROWS = 100
NET_MIN_SECONDS = 0.5
NET_START_SECONDS = 2.0  # to compile
NET_LEAST_EPOCHS = 3.0  # of a cycle; shorter ones are left out
NET_PIXEL_SECONDS = 2.5e-6  # of one picture in training, by its pixels
ACCELERATION = 50.0  # of an accelerator, of which nothing is measured beforehand
# Seconds of each cycle, and the share of the gap it should close.
NET_CYCLES = ((8, 0.3), (16, 0.25), (32, 0.2), (64, 0.15), (128, 0.1), (256, 0.08))
NET_LEARNING_RATE = 3e-3
NET_WEIGHT_DECAY = 5e-4
# Pixels of the longer side and seconds of each cycle of a pretrained network, and the same share.
TUNE_CYCLES = (
    (96, 10, 0.25),
    (96, 20, 0.2),
    (96, 40, 0.2),
    (96, 80, 0.15),
    (128, 160, 0.15),
    (160, 320, 0.1),
)
TUNE_IMAGE_ROWS = 20_000
TUNE_IMAGE_LEARNING_RATE = 3e-4
TUNE_PIXEL_SECONDS = 1.4e-6  # of one picture in training, by its pixels
TUNE_START_SECONDS = 8.0  # to trace the network
MIRROR_ROWS = 600
MIRROR_MAX_LOSS = 0.05  # of the score, when pictures are mirrored
LABEL_SMOOTHING = 0.1
