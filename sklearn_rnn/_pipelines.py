"""What Pipelines and searches are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def final_estimator(model: Any) -> Any:
    """The fitted estimator at the end of a Pipeline, and of the best one of a search.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError
        If it is a search without a best one.
    """
    check_is_fitted(model)
    best = best_model(model)
    if best is not None:
        return final_estimator(best)
    return final_estimator(model.steps[-1][1]) if isinstance(model, Pipeline) else model


def best_model(search: Any) -> Any:
    """The best model of a fitted search, None of anything else; ValueError if the search was told to have none."""
    if isinstance(search, BaseSearchCV):
        check_is_fitted(search)
        if not search.refit:
            raise ValueError(f"{type(search).__name__} has refit=False and so no best estimator. Fit with refit=True.")
    return getattr(search, "best_estimator_", None)  # searches of other packages have it, too


def opened(model: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The named steps of a model in their order, those of Pipelines and of best models within in their places."""
    best = best_model(model)
    if best is not None:
        yield from opened(best, name)
    elif isinstance(model, Pipeline):
        for step_name, step in model.steps:
            if step is not None and step != "passthrough":
                yield from opened(step, step_name)
    else:
        yield name, model
