from __future__ import annotations

from divscale.embedding.tokens import TokenCounter


def test_tokens_are_word_pieces_without_special_tokens():
    assert TokenCounter().count(["hello world", "hello", "", "untokenizable"]) == [2, 1, 0, 4]


def test_texts_longer_than_the_encoders_window_are_counted_whole_and_not_padded():
    counter = TokenCounter()
    assert counter.count(["word " * 1000, "word"]) == [1000, 1]


def test_a_text_counts_the_same_the_second_time_and_in_other_company():
    counter = TokenCounter()
    assert counter.count(["one two", "three"]) == [2, 1]
    assert counter.count(["three", "one two", "three"]) == [1, 2, 1]
