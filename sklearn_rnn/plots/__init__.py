"""Displays of histories, forecasts, backtests and importances; the only importer of matplotlib, inside methods."""

from sklearn_rnn.plots.backtest import BacktestDisplay
from sklearn_rnn.plots.forecast import ForecastDisplay
from sklearn_rnn.plots.history import HistoryDisplay
from sklearn_rnn.plots.importance import ImportanceDisplay

__all__ = ["BacktestDisplay", "ForecastDisplay", "HistoryDisplay", "ImportanceDisplay"]
