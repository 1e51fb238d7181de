"""The libraries' models in ``portable.py``: each in the format that its library reads back.

LightGBM writes its own text; Keras networks are their configuration and their weights; scikit-learn
has no format of its own, so estimators are their attributes and trees their arrays, as its pickles
hold them. Nothing here loads a library that the model does not use.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from scipy import sparse

_ESTIMATORS = ("sklearn", "aeon")  # whose estimators are their attributes


def dismantle(value: Any) -> tuple[str, Any] | None:
    """The kind and the plain state of a library's object; None when it is of no known kind."""
    if sparse.issparse(value):
        x = value.tocsr()
        return "csr", (x.data, x.indices, x.indptr, x.shape)
    family = type(value).__module__.partition(".")[0]
    name = type(value).__name__
    if family == "lightgbm" and name == "Booster":
        return "lightgbm", value.model_to_string()
    if family == "keras" and hasattr(value, "get_weights") and hasattr(value, "to_json"):
        return "keras", (value.to_json(), value.get_weights())
    if family == "sklearn" and name == "Tree":
        return "tree", value.__reduce__()[1:]
    if family in _ESTIMATORS and _is_estimator(value):
        kind = f"{type(value).__module__}:{name}"
        return "estimator", (kind, dict(vars(value)))
    return None


def assemble(kind: str, state: Any) -> Any:
    """What ``dismantle`` took apart. Raises ValueError for other kinds."""
    if kind not in _ASSEMBLE:
        raise ValueError(f"no library's {kind}")
    return _ASSEMBLE[kind](state)


def _csr(state: Any) -> Any:
    data, indices, indptr, shape = state
    return sparse.csr_matrix((data, indices, indptr), shape=tuple(shape))


def _lightgbm(state: Any) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=state)


def _keras(state: Any) -> Any:
    import keras

    configuration, weights = state
    network = keras.models.model_from_json(configuration)
    network.set_weights(weights)
    return network


def _tree(state: Any) -> Any:
    from sklearn.tree._tree import Tree

    arguments, arrays = state
    tree = Tree(*arguments)
    tree.__setstate__(arrays)
    return tree


def _estimator(state: Any) -> Any:
    kind, attributes = state
    module, _, name = kind.partition(":")
    if module.partition(".")[0] not in _ESTIMATORS:
        raise ValueError(f"no estimator: {kind}")
    cls: Any = getattr(importlib.import_module(module), name)
    estimator = object.__new__(cls)
    if not _is_estimator(estimator):
        raise ValueError(f"no estimator: {kind}")
    vars(estimator).update(attributes)
    return estimator


def _is_estimator(value: Any) -> bool:
    """Whether it is of scikit-learn's family, which is then loaded already."""
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(value, base.BaseEstimator)


_ASSEMBLE: dict[str, Callable[[Any], Any]] = {
    "csr": _csr,
    "lightgbm": _lightgbm,
    "keras": _keras,
    "tree": _tree,
    "estimator": _estimator,
}
