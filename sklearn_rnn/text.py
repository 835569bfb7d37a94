"""Texts as sequences of token codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO, StringIO
from itertools import islice
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._callbacks import CallbackSupportMixin, FitTask
from sklearn_rnn._errors import reading
from sklearn_rnn._validation import check_parameters
from sklearn_rnn.sequences import Sequences, starts_of

UNKNOWN = "<unknown>"
ADVICE = "Look at the texts, and at min_df, max_df, vocabulary, ngram_range, token_pattern and the callables."


class SequenceVectorizer(  # type: ignore[call-arg]  # scikit-learn has no types
    CallbackSupportMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Turn texts into sequences of token codes, one channel, for the estimators to embed.

    Tokens and vocabulary are CountVectorizer's: the parameters but `max_length` are its own, with its meaning. Tokens
    outside the vocabulary get the code 0, so a text keeps its length and `min_df` teaches the net what a rare word is.

    Parameters
    ----------
    input, encoding, decode_error, strip_accents, lowercase, preprocessor, tokenizer, stop_words, token_pattern, \
ngram_range, analyzer, max_df, min_df, max_features, vocabulary
        See :class:`~sklearn.feature_extraction.text.CountVectorizer`. The default `token_pattern` here keeps words of
        one letter and punctuation, which carry meaning in a sequence.
    max_length : int or None, default=None
        Keep at most the first `max_length` tokens of a text. n-grams of several lengths follow one another by length,
        as the analyzer gives them: all tokens of the text, then all pairs.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        The code of each token, from 1.
    tokens_ : ndarray of str of shape (n_codes,)
        The token of each code; that of 0 is "<unknown>".

    See Also
    --------
    RNNClassifier : Its `categorical_features="from_dtype"` finds the channel of codes.

    Examples
    --------
    >>> from sklearn_rnn import SequenceVectorizer
    >>> vectorizer = SequenceVectorizer()
    >>> X = vectorizer.fit_transform(["To be or not to be", "to do"])
    >>> X
    Sequences(n_samples=2, n_steps=2 to 6, n_channels=1)
    >>> X[1].ravel().tolist()
    [5.0, 2.0]
    >>> vectorizer.inverse_transform(X)[1]
    ['to', 'do']
    """

    _parameter_constraints = {
        **CountVectorizer._parameter_constraints,
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        input: str = "content",
        encoding: str = "utf-8",
        decode_error: str = "strict",
        strip_accents: str | Callable | None = None,
        lowercase: bool = True,
        preprocessor: Callable | None = None,
        tokenizer: Callable | None = None,
        stop_words: str | list | None = None,
        token_pattern: str | None = r"(?u)\w+|[^\w\s]",
        ngram_range: tuple[int, int] = (1, 1),
        analyzer: str | Callable = "word",
        max_df: Real | float = 1.0,
        min_df: Real | int = 1,
        max_features: int | None = None,
        vocabulary: Mapping | Iterable | None = None,
        max_length: int | None = None,
    ) -> None:
        self.input = input
        self.encoding = encoding
        self.decode_error = decode_error
        self.strip_accents = strip_accents
        self.lowercase = lowercase
        self.preprocessor = preprocessor
        self.tokenizer = tokenizer
        self.stop_words = stop_words
        self.token_pattern = token_pattern
        self.ngram_range = ngram_range
        self.analyzer = analyzer
        self.max_df = max_df
        self.min_df = min_df
        self.max_features = max_features
        self.vocabulary = vocabulary
        self.max_length = max_length

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, raw_documents: Iterable, y: Any = None) -> SequenceVectorizer:
        """Learn the vocabulary.

        Parameters
        ----------
        raw_documents : iterable of str
            The texts; file names or file objects where `input` says so.
        y : None
            Ignored.

        Returns
        -------
        SequenceVectorizer
            Itself.

        Raises
        ------
        TypeError
            If a document is no text.
        ValueError
            If the vocabulary is empty.
        """
        task = FitTask(self, X=raw_documents, y=y)
        task.begin()
        documents = self._check_documents(raw_documents)
        with reading("raw_documents", ADVICE):
            tokens = self._make_counter().fit(documents).get_feature_names_out()
        self.tokens_ = np.array([UNKNOWN, *tokens], dtype=object)
        self.vocabulary_ = {token: code for code, token in enumerate(tokens, start=1)}
        task.end()
        return self

    def fit_transform(self, raw_documents: Iterable, y: Any = None) -> Sequences:
        """Learn the vocabulary of texts, and turn them into sequences of codes.

        Parameters
        ----------
        raw_documents : iterable of str
            A generator is read once.
        y : None
            Ignored.

        Returns
        -------
        Sequences of shape (n_documents, longest, 1)

        Raises
        ------
        TypeError, ValueError
            As :meth:`fit`.
        """
        documents = self._check_documents(raw_documents)
        again = documents
        if self.input == "file":  # which can be read but once
            with reading("raw_documents", "Pass a list of open files."):
                texts = [file.read() for file in documents]
            documents, again = ([_as_file(text) for text in texts] for _ in range(2))
        return self.fit(documents, y).transform(again)

    def transform(self, raw_documents: Iterable) -> Sequences:
        """Turn texts into sequences of codes.

        Parameters
        ----------
        raw_documents : iterable of str
            As in `fit`. A text without tokens becomes one unknown token.

        Returns
        -------
        Sequences of shape (n_documents, longest, 1)

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            As `fit`.
        """
        check_is_fitted(self)
        analyze, code_of = self._make_counter().build_analyzer(), self.vocabulary_
        codes: list[int] = []
        lengths: list[int] = []
        for i, document in enumerate(self._check_documents(raw_documents)):
            with reading(f"Document {i}", ADVICE):
                tokens = islice(analyze(document), self.max_length)
                coded = [code_of.get(token, 0) for token in tokens] or [0]
            codes += coded
            lengths.append(len(coded))
        values = np.array(codes, dtype=np.float32)
        starts = starts_of(np.array(lengths))
        return Sequences(values, starts, lengths, align="start", channel_names=["token"], categorical=[0])

    def inverse_transform(self, X: Sequences) -> list[list[str]]:
        """The tokens of each sequence of codes.

        Parameters
        ----------
        X : Sequences of shape (n_documents, longest, 1)

        Returns
        -------
        list of list of str

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError
            If X is no Sequences of one channel.
        ValueError
            If a code stands for no token.
        """
        check_is_fitted(self)
        if not isinstance(X, Sequences) or X.n_channels != 1:
            raise TypeError(f"X is {X!r:.100}, but must be Sequences of one channel, as transform gives them.")
        codes = X.values[X.used_rows() > 0, 0]
        if not np.isin(codes, np.arange(len(self.tokens_))).all():
            raise ValueError(f"X has codes that stand for no token: there are those from 0 to {len(self.tokens_) - 1}.")
        return [self.tokens_[codes[:, 0].astype(int)].tolist() for codes in X]

    def set_output(self, *, transform: str | None = None) -> SequenceVectorizer:
        """Nothing to choose: sequences stay as they are, also in a Pipeline whose tables change their container.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None

        Returns
        -------
        SequenceVectorizer
            Itself.
        """
        return self

    def get_feature_names_out(self, input_features: Any = None) -> NDArray:
        """The name of the one channel.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str of shape (1,)
        """
        return np.array(["token"], dtype=object)

    def _validate_params(self) -> None:
        check_parameters(self)

    def _make_counter(self) -> CountVectorizer:
        unused = {"max_length"} if self.analyzer == "word" else {"max_length", "token_pattern"}
        parameters = {name: value for name, value in self.get_params().items() if name not in unused}
        return CountVectorizer(**parameters)

    def _check_documents(self, raw_documents: Iterable) -> list:
        if isinstance(raw_documents, (str, bytes)):
            raise ValueError("Iterable over raw text documents expected, string object received. Pass a list of texts.")
        if hasattr(raw_documents, "columns"):
            raise ValueError(
                f"raw_documents is a table with the columns {list(raw_documents.columns)}. Pass the one with the texts "
                "as a Series, as in X['text']."
            )
        with reading("raw_documents", "Pass a list of texts."):
            documents = list(raw_documents)
        if not documents:
            raise ValueError("raw_documents is empty. Pass at least one text.")
        if self.input == "content" and self.preprocessor is None and not callable(self.analyzer):
            for i, document in enumerate(documents):
                if not isinstance(document, (str, bytes)):
                    raise TypeError(
                        f"Document {i} is {document!r}, of type {type(document).__name__}, but must be a str. Drop "
                        "missing texts or replace them by ''."
                    )
        return documents

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _as_file(text: str | bytes) -> StringIO | BytesIO:
    return StringIO(text) if isinstance(text, str) else BytesIO(text)
