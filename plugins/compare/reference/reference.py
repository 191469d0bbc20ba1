"""Makes reference.json: what scipy says of generated data, for the tests of the gate compare.

    python3 -m pip install scipy==1.17.1 && python3 reference.py [--check]

With --check nothing is written; it fails if the file says something else.
Everything that can be computed in another way than the gate does it, is: p-values come from
`mannwhitneyu`, the shift from all differences written out, its interval by asking
`mannwhitneyu` which shifts it refuses, and the wealth of bets from the incomplete beta function.
"""

import json
import pathlib
import sys

import numpy as np
from scipy import special, stats

FILE = pathlib.Path(__file__).with_name("reference.json")
SEED = 20260101


def samples(rng):
    """Pairs of samples, by name."""
    yield "tiny", [1.5, 3.0], [0.5, 2.0, 4.0]
    yield "separate", [5.0, 6.0, 7.0, 8.0, 9.0], [0.0, 1.0, 2.0, 3.0, 4.0]
    for n, m in [(5, 5), (8, 12), (20, 20), (4, 90), (3, 3), (1, 30)]:
        yield f"normal {n} {m}", rng.normal(0.5, 1, n), rng.normal(0, 1, m)
    for n, m in [(30, 40), (100, 100), (17, 200), (50, 51)]:
        yield f"lognormal {n} {m}", rng.lognormal(0.2, 1, n), rng.lognormal(0, 1, m)
        yield f"shifted {n} {m}", rng.normal(1.5, 1, n), rng.normal(0, 2, m)
        yield f"counts {n} {m}", rng.poisson(3.5, n), rng.poisson(3, m)
        yield f"mostly zero {n} {m}", rng.poisson(0.15, n), rng.poisson(0.1, m)
        yield f"heavy {n} {m}", rng.standard_cauchy(n), rng.standard_cauchy(m)
    yield "equal constants", [2.0] * 12, [2.0] * 15
    yield "other constants", [3.0] * 12, [2.0] * 15
    yield "one constant", [2.0] * 20, list(rng.normal(2, 1, 20))
    yield "negative", -rng.lognormal(0, 1, 25), -rng.lognormal(0.3, 1, 25)
    # Larger than what can be written out at once, so that the selection has to search.
    yield "large", rng.normal(10.2, 1, 400), rng.normal(10, 1, 500)
    yield "large counts", rng.poisson(21, 400), rng.poisson(20, 500)
    yield "large heavy", rng.standard_cauchy(300), rng.standard_cauchy(400)


def p(x, y, alternative, method):
    with np.errstate(all="ignore"):
        value = float(stats.mannwhitneyu(x, y, alternative=alternative, method=method).pvalue)
    # Of nothing but ties scipy may say that it does not know.
    return 1.0 if np.isnan(value) else min(value, 1.0)


def interval(x, y, alpha, method):
    """The ends of the shifts that the two-sided test does not refuse."""
    differences = np.sort((x[:, None] - y[None, :]).ravel())
    values = np.unique(differences)
    # Between two neighbouring differences, and beyond the outermost ones.
    gaps = (values[:-1] + values[1:]) / 2
    gaps = np.concatenate([[values[0] - 1], gaps, [values[-1] + 1]])
    kept = lambda gap: p(x - gap, y, "two-sided", method) > alpha
    if kept(gaps[0]):
        return None, None
    # The p-value rises up to the median and falls beyond it.
    middle = int(np.searchsorted(gaps, np.median(differences)))
    near = range(max(middle - 1, 0), min(middle + 2, len(gaps)))
    middle = max(near, key=lambda i: p(x - gaps[i], y, "two-sided", method))
    if not kept(gaps[middle]):
        # So many equal differences that only they themselves are not refused.
        median = float(np.median(differences))
        return median, median
    low, high = 0, middle
    while high - low > 1:
        at = (low + high) // 2
        low, high = (low, at) if kept(gaps[at]) else (at, high)
    lower = values[low]
    low, high = middle, len(gaps) - 1
    while high - low > 1:
        at = (low + high) // 2
        low, high = (at, high) if kept(gaps[at]) else (low, at)
    return float(lower), float(values[high - 1])


def ranked():
    rng = np.random.default_rng(SEED)
    for name, x, y in samples(rng):
        x, y = np.round(np.asarray(x, float), 6), np.round(np.asarray(y, float), 6)
        differences = x[:, None] - y[None, :]
        ties = len(np.unique(np.concatenate([x, y]))) < len(x) + len(y)
        methods = ["asymptotic"] + ([] if ties or len(x) * len(y) > 400 else ["exact"])
        case = {
            "name": name,
            "x": x.tolist(),
            "y": y.tolist(),
            "u": float(stats.mannwhitneyu(x, y).statistic),
            "superiority": float(np.mean((differences > 0) + 0.5 * (differences == 0))),
            "shift": float(np.median(differences)),
            "methods": {},
        }
        for method in methods:
            low, high = interval(x, y, 0.05, method)
            case["methods"][method] = {
                "greater": p(x, y, "greater", method),
                "less": p(x, y, "less", method),
                "two-sided": p(x, y, "two-sided", method),
                "low": low,
                "high": high,
            }
        yield case


def wealth():
    """log of 2^(t+1) B(h+1, t-h+1) P(Beta > 1/2)."""
    for t, h in [(0, 0), (1, 0), (1, 1), (2, 1), (10, 10), (10, 0), (30, 20), (100, 50), (100, 40),
                 (1000, 560), (1000, 100), (700, 700), (5000, 2700), (200, 0)]:
        a, b = h + 1, t - h + 1
        tail = special.betainc(b, a, 0.5)
        log = (t + 1) * np.log(2) + special.betaln(a, b) + np.log(tail)
        yield {"trials": t, "hits": h, "log": float(log)}


def normal():
    for z in [-6.0, -1.5, -0.1, 0.0, 0.3, 1.0, 2.0, 3.0, 3.5, 3.6, 5.0, 8.0, 20.0, 37.0]:
        yield {"z": z, "sf": float(stats.norm.sf(z))}


def main():
    made = {"ranks": list(ranked()), "wealth": list(wealth()), "normal": list(normal())}
    text = json.dumps(made, indent=None, separators=(",", ":"))
    text = text.replace('{"name"', '\n{"name"').replace('{"trials"', '\n{"trials"') + "\n"
    if "--check" not in sys.argv:
        FILE.write_text(text)
        return
    if json.loads(FILE.read_text()).keys() != made.keys() or not close(json.loads(FILE.read_text()), made):
        sys.exit(f"{FILE.name} is not what this script makes")


def close(a, b):
    """Equal, but for the last digits of numbers, which differ between processors."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-9 * max(abs(a), abs(b)) + 1e-300
    return a == b


if __name__ == "__main__":
    main()
