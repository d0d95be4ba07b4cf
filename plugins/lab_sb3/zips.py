"""stub"""


def load_weights(model, cfg):
    raise NotImplementedError
