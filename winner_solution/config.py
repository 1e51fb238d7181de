"""Every knob of the solution, with its reason. Times are seconds on the reference machine: one
core at 2.6 GHz (``budget.measure_speed`` gives the factor of the machine at hand)."""

from __future__ import annotations

SEED = 20240601

# Any-time control ---------------------------------------------------------------------------
ALC_START_SECONDS = 60.0  # t0 of the contest's log time
RESERVE_SECONDS = 2.0  # kept at the end for writing the last prediction
RESERVE_SHARE = 0.02  # ... or this share of the budget
FIRST_FIT_SECONDS = 0.7  # the first step learns from the rows that are ready by then
FIRST_VALIDATE_SECONDS = 0.3
FIRST_TEST_SECONDS = 0.8  # test rows that are not ready by then get the median at first
FIRST_ROWS = 1000
STEP_PATIENCE = 3.0  # a step may take this many times what was predicted
STEP_GRACE_SECONDS = 5.0  # ... and this
FINAL_CLOSES = 0.05  # prior: what the validation rows add once they are learnt from
TRUST_RANGE = (0.1, 2.0)  # how far a learner's prior is corrected by what it brought
MIN_GAIN = 2e-4  # stop when no step is expected to add this much ALC
GAP_FLOOR = 0.003  # a validation score of 1.0 still leaves this to gain
PUBLISH_CONFIDENCE = 0.6  # one-sided, by paired bootstrap
BOOTSTRAPS = 30

CACHE_MAX_BYTES = 1_200_000_000  # of decoded examples of a subset; beyond, they are decoded anew

# Validation ---------------------------------------------------------------------------------
FOLDS = 4  # cross-validation for small sets; their validation part alone would be noise
FOLDS_MAX_ROWS = 1500
HOLDOUT_SHARE = 0.2
HOLDOUT_MAX_ROWS = 2000  # more adds seconds, not certainty
HOLDOUT_ROWS_PER_CLASS = 20  # ... but allow this many with many classes
MAX_TRAIN_ROWS = 200_000  # of larger sets an evenly spaced part is used

# Ensemble -----------------------------------------------------------------------------------
SELECTION_ROUNDS = 12
SELECTION_MIN_GAIN = 2e-4
SHRINK_ROWS = 400  # weights are half way to uniform when this many rows validate
NEAR_BEST = 0.01  # members this close to the best share the uniform part
MAX_LOG_ODDS = 9.0  # so that six digits of a probability still order the rows

# Linear models --------------------------------------------------------------------------------
RIDGE_ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # for standardised features
RIDGE_MIN_ROWS = 8
RIDGE_MAX_FEATURES = 3000  # more are projected at random
RIDGE_MAX_ROWS = 20_000

# Tables ---------------------------------------------------------------------------------------
CATEGORY_MAX_VALUES = 40  # whole-number columns of at most this many values are also one-hot
CATEGORY_MAX_COLUMNS = 200
LOGISTIC_INVERSE_PENALTY = 0.1
LOGISTIC_MAX_WORK = 2e8  # rows x columns x classes
SVM_C = 1.0  # of sparse rows of length 1: texts and sparse tables
SPARSE_MAX_SCALE = 100.0
KERNEL_LANDMARKS = 1000
KERNEL_WIDTH = 1.0  # of the kernel, in typical distances
FOREST_MAX_ROWS = 5000
FOREST_TREES = ((100, 0.15), (400, 0.04))  # trees, and the share of the gap they should close
FOREST_LOT = 50
FOREST_MIN_LEAF = 2
FOREST_FEATURES = "sqrt"
TREES_MIN_ROWS = 20
BOOSTING_ROUNDS = (30, 100, 300)
BOOSTING_MAX_CLASSES = 60

# Texts ----------------------------------------------------------------------------------------
TEXT_MANY = 5000
TEXT_HASHES = 2**21  # columns that words, and runs of words or letters, are hashed to
TEXT_MAX_TOKENS = 2000  # of a document
TEXT_MAX_LETTERS = 3000  # of a document

# Series and sound -------------------------------------------------------------------------------
COURSE_STEPS = 48
SERIES_MAX_VALUES = 3000  # steps x dimensions of the course
ROCKET_STEPS_RANGE = (16, 512)
ROCKET_FEATURES = 4000
ROCKET_MIXES = 12
ROCKET_MEL_STEPS = 96

# Clips ------------------------------------------------------------------------------------------
CLIP_SIDE = 24
CLIP_FRAMES = 12

# Images ---------------------------------------------------------------------------------------
PIXEL_SIDE = 16  # of the first answer
NET_SIDE = 32
NET_WIDTH = 16
NET_BATCH = 64
NET_MIN_ROWS = 100
NET_MIN_SECONDS = 1.0
NET_GLYPH_SIDE = 32  # grey pictures, and all of at most this size, are never mirrored
# Seconds of each cycle, and the share of the gap it should close.
NET_CYCLES = ((8, 0.3), (16, 0.25), (32, 0.2), (64, 0.15), (128, 0.1), (256, 0.08))
NET_LEARNING_RATE = 3e-3
NET_WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
