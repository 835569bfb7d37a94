"""SequenceVectorizer against CountVectorizer and plain Python."""

import io

import numpy as np
import pytest
from sklearn import set_config
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier, SequenceVectorizer

TEXTS = ["a good film , a very good one", "bad", "not good , bad !", "a film"]


def test_counts_of_codes_are_count_vectorizers():
    ours = SequenceVectorizer(min_df=2, ngram_range=(1, 2))
    X = ours.fit_transform(TEXTS)
    reference = CountVectorizer(min_df=2, ngram_range=(1, 2), token_pattern=ours.token_pattern).fit(TEXTS)
    assert list(ours.tokens_[1:]) == list(reference.get_feature_names_out())
    counts = [np.bincount(codes[:, 0].astype(int), minlength=len(ours.tokens_))[1:] for codes in X]
    np.testing.assert_array_equal(counts, reference.transform(TEXTS).toarray())


def test_a_generator_of_texts_is_read_once():
    texts = ["to be or not", "to do"]
    expected = SequenceVectorizer().fit_transform(texts)
    given = SequenceVectorizer().fit_transform(text for text in texts)
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize("kind", [io.StringIO, lambda text: io.BytesIO(text.encode())])
def test_open_files_are_read_once(kind):
    texts = ["to be or not", "to do"]
    expected = SequenceVectorizer().fit_transform(texts)
    np.testing.assert_array_equal(SequenceVectorizer(input="file").fit_transform(map(kind, texts)), expected)


def test_tokens_keep_their_order_and_unknown_ones_their_place():
    vectorizer = SequenceVectorizer(min_df=2).fit(TEXTS)
    X = vectorizer.transform(["good new film"])
    assert vectorizer.inverse_transform(X) == [["good", "<unknown>", "film"]]


def test_characters_are_tokens_on_request():
    vectorizer = SequenceVectorizer(analyzer="char", lowercase=False).fit(["Hello you"])
    assert "".join(vectorizer.inverse_transform(vectorizer.transform(["Hello"]))[0]) == "Hello"


def test_an_analyzer_may_be_a_generator():
    vectorizer = SequenceVectorizer(analyzer=lambda text: (letter for letter in text), max_length=3)
    assert vectorizer.inverse_transform(vectorizer.fit_transform(["abba", "b"])) == [["a", "b", "b"], ["b"]]


def test_long_texts_are_cut_and_empty_ones_have_one_unknown_token():
    X = SequenceVectorizer(max_length=3).fit(TEXTS).transform([TEXTS[0], ""])
    assert X.lengths.tolist() == [3, 1]
    assert X[1].tolist() == [[0.0]]


def test_a_pipeline_can_set_the_container_of_its_tables():
    model = make_pipeline(SequenceVectorizer(), RNNClassifier(hidden_size=4, max_epochs=1, random_state=0))
    for container in ("pandas", "default"):
        assert len(model.set_output(transform=container).fit(TEXTS, range(len(TEXTS))).predict(TEXTS)) == len(TEXTS)


def test_max_features_limits_the_codes():
    assert len(SequenceVectorizer(max_features=3).fit(TEXTS).tokens_) == 4


@pytest.mark.parametrize("document", [None, float("nan"), 3, ["a", "list"]])
def test_a_document_that_is_no_text_is_a_type_error_that_names_it(document):
    with pytest.raises(TypeError, match="Document 1 is .*must be a str"):
        SequenceVectorizer().fit(["fine", document])


@pytest.mark.parametrize(
    ("documents", "message"),
    [("a string", "string object received"), ([], "raw_documents is empty"), (["", " "], "empty vocabulary")],
)
def test_no_texts_are_refused(documents, message):
    with pytest.raises(ValueError, match=message):
        SequenceVectorizer().fit(documents)


def test_a_pipeline_learns_and_searches_over_texts():
    rng = np.random.default_rng(0)
    words = np.array(["plot", "actor", "scene", "music", "the", "a"])
    labels = rng.integers(2, size=80)
    texts = [" ".join([*rng.choice(words, rng.integers(2, 9)), ("awful", "great")[label]]) for label in labels]
    model = make_pipeline(SequenceVectorizer(), RNNClassifier(hidden_size=8, max_epochs=40, random_state=0))
    grid = {"sequencevectorizer__min_df": [1, 2], "rnnclassifier__pooling": ["last", "mean"]}
    try:
        set_config(transform_output="pandas")
        search = GridSearchCV(model, grid, cv=2).fit(texts, labels)
    finally:
        set_config(transform_output="default")
    assert search.best_score_ > 0.9
    assert search.best_estimator_[-1].net_.module_.encoder.categorical == [0]
