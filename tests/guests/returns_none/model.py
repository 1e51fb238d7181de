"""A guest that stops at once."""


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()

    def train(self, dataset, remaining_time_budget=None):
        return None

    def test(self, dataset, remaining_time_budget=None):
        return None
