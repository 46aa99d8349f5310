"""A timm classifier as it is trained: dropping paths at random."""

from torch import nn

from ops.classify.timm import Timm


def training_network(classifier: Timm, drop_path: float) -> nn.Module:
    """Return a classifier's network, some residual branches of which rest in training.

    Its tensors are those of ``classifier.network()``.

    Args:
        classifier: which network, and of how many classes.
        drop_path: chance that the last residual branch rests, in [0, 1); earlier ones
            rest less often.

    Raises:
        ValueError: timm does not know the name, or the network has no such branches.

    Source:
        Huang et al. 2016, arXiv:1603.09382.
    """
    import timm  # takes seconds, so only who needs it pays

    if drop_path == 0:
        return classifier.network()
    try:
        network = timm.create_model(
            classifier.name,
            pretrained=False,
            num_classes=classifier.num_classes,
            drop_path_rate=drop_path,
        )
    except TypeError as error:
        raise _no_branches(classifier.name, drop_path) from error
    if not any(hasattr(layer, "drop_prob") for layer in network.modules()):
        raise _no_branches(classifier.name, drop_path)
    return network


def _no_branches(name: str, drop_path: float) -> ValueError:
    return ValueError(
        f"drop_path needs a network with residual branches that timm can drop; {name} "
        f"has none, and network.drop_path is {drop_path}. Set it to 0."
    )
