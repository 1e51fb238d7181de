"""A guest without a method test."""


class Model:
    done_training = False

    def __init__(self, metadata):
        pass

    def train(self, dataset, remaining_time_budget=None):
        pass
