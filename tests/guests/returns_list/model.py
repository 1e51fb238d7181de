"""A guest that returns a list."""


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()

    def train(self, dataset, remaining_time_budget=None):
        return None

    def test(self, dataset, remaining_time_budget=None):
        return [[0.5] * self.classes for _ in range(len(dataset))]
