"""How many different words a stretch of text uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from divscale.errors import ConfigError, DataError
from divscale.metrics.lexical.texts import check_texts


def mattr(texts: Sequence[str], *, window: int = 50) -> float:
    """Moving-average type-token ratio (Covington and McFall 2010): mean of different / all words of every window.

    In [1 / window, 1]; higher is more diverse. Unlike the plain ratio it does not fall with the length of the
    corpus. The corpus is one running text, because single texts are often shorter than a window; so the order of the
    texts matters a little.

    Raises:
        DataError: no texts, something that is no string, or fewer words in all than a window holds.
        ConfigError: window below 1.
    """
    check_texts(texts)
    if window < 1:
        raise ConfigError(f"window is {window}; a window holds at least one word (50 is usual).")
    words = [word for text in texts for word in text.split()]
    if len(words) < window:
        raise DataError(f"MATTR with a window of {window} words needs as many, and the {len(texts)} texts have "
                        f"{len(words)}; give a smaller window or more texts.")
    inside = Counter(words[:window])
    types = total = len(inside)
    for leaving, entering in zip(words, words[window:], strict=False):
        inside[leaving] -= 1
        types -= inside[leaving] == 0
        types += inside[entering] == 0
        inside[entering] += 1
        total += types
    return total / ((len(words) - window + 1) * window)
