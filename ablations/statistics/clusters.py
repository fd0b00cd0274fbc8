"""Unequal clusters: the CR2 correction, its degrees of freedom and its error rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from harness.files.text import counted

FEW = 30  # effective clusters; below this, a test over items is approximate
ERROR_LIMIT = 0.08  # false-positive rate at a nominal 5 %; above this, there is no verdict
_CORRELATIONS = (0.05, 0.2, 0.5, 1.0)  # between items of a cluster; at 0 the test errs least
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(200)
_SIN2 = np.sin((_NODES + 1) * np.pi / 4) ** 2

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Profile:
    """Cluster sizes of a benchmark; docs/statistics.md derives the formulas.

    ``counts`` is clusters x parts: items per cluster and part. The score is the mean over parts of
    the mean over each part's items.
    """

    counts: Array

    @property
    def _shares(self) -> Array:
        return np.asarray(self.counts / self.counts.sum(0))

    @property
    def effective(self) -> float:
        """The effective number of clusters: 1 / sum of squared shares of the score's weight.

        With equal clusters it is their number (Carter, Schnepel and Steigerwald 2017, at full
        within-cluster correlation).
        """
        return float(1 / (self._shares.mean(1) ** 2).sum())

    @property
    def scale(self) -> Array:
        """CR2 factor, clusters x parts (Bell and McCaffrey 2002); infinite for one cluster."""
        with np.errstate(divide="ignore"):
            return np.asarray(1 / np.sqrt(1 - self._shares))

    @property
    def df(self) -> float:
        """Bell and McCaffrey's df for independent items alike; C - 1 for C equal clusters."""
        shares, parts = self._shares, self.counts.shape[1]
        u = self.scale * shares / np.sqrt(self.counts.sum(0)) / parts
        own = (u**2 / np.where(shares > 0, shares, 1)).sum(1)
        squared = (own**2).sum() - 2 * (own * (u**2).sum(1)).sum() + ((u.T @ u) ** 2).sum()
        return float((own.sum() - (u**2).sum()) ** 2 / squared)

    @property
    def is_few(self) -> bool:
        """Whether the effective number of clusters is below `FEW`, up to rounding."""
        return self.effective < FEW - 1e-9

    @property
    def has_error(self) -> bool:
        """Whether each part has two clusters, and the test keeps its level; else no verdict."""
        return self._estimable and self.error_rate() <= ERROR_LIMIT

    @property
    def _estimable(self) -> bool:
        return bool((self._shares < 1).all())

    def error_rate(self, alpha: float = 0.05) -> float:
        """Return the test's false-positive rate, maximised over within-cluster correlations.

        Exact for normal items with a normal cluster effect shared by all parts.
        """
        return max(self._error_rate(correlation, alpha) for correlation in _CORRELATIONS)

    def _error_rate(self, correlation: float, alpha: float) -> float:
        """Return P(delta^2 > t^2 * sum of squared cluster residuals).

        A quadratic form of normal variables with one positive eigenvalue: the chance that a
        chi-squared variable exceeds a weighted sum of others, by Craig's (1991) formula.
        """
        t2 = float(scipy.stats.t.ppf(1 - alpha / 2, self.df)) ** 2
        main, within, repeats = self._loadings(correlation)
        signs = np.concatenate([[1.0], np.full(len(main) - 1, -t2)])
        *others, largest = np.linalg.eigvalsh(main.T @ (signs[:, None] * main))
        ratios = np.concatenate([-np.minimum(others, 0), t2 * within]) / largest
        times = np.concatenate([np.ones(len(others)), repeats])
        log_chance = -0.5 * (times[:, None] * np.log1p(ratios[:, None] / _SIN2)).sum(0)
        return float((_NODE_WEIGHTS * np.exp(log_chance)).sum() / 2)

    def _loadings(self, correlation: float) -> tuple[Array, Array, Array]:
        """Return how independent standard normals load on the difference and the residuals.

        Clusters with the same counts share one row: sqrt(m) times the mean of their m residuals.
        The m - 1 directions orthogonal to it have variance ``within``, ``repeats`` of them.
        """
        kinds, index, m = np.unique(self.counts, axis=0, return_index=True, return_counts=True)
        scale, roots, (n, parts) = self.scale[index], np.sqrt(m), kinds.shape
        weights = 1 / self.counts.sum(0) / parts
        # Sums over each part's items: the cluster effect, then the items' own variation.
        effect = np.sqrt(correlation) * kinds * weights
        alone = np.sqrt((1 - correlation) * kinds) * weights
        within = (scale * effect).sum(1) ** 2 + ((scale * alone) ** 2).sum(1)
        shared = effect[..., None] * np.eye(n)[:, None]
        own = np.einsum("pk,kl,pq->pklq", alone, np.eye(parts), np.eye(n)).reshape(n, parts, -1)
        sums = np.concatenate([shared, own], axis=2)
        total = np.einsum("p,pkz->kz", roots, sums)
        expected = (roots[:, None] * self._shares[index])[..., None] * total
        residuals = np.einsum("pk,pkz->pz", scale, sums - expected)
        return np.vstack([total.sum(0), residuals]), np.asarray(within), np.asarray(m - 1.0)

    @property
    def warning(self) -> str | None:
        """Why inference over items is approximate or impossible; None if they are not `is_few`."""
        clusters, effective = len(self.counts), self.effective
        if not self.is_few:
            return None
        text = f"only {counted(clusters, 'cluster')} (fewer than {FEW})"
        if clusters >= FEW:
            text = f"{counted(clusters, 'cluster')} of unequal size"
        text += f", effectively {effective:.1f}"
        if self.has_error:
            return f"{text}, so inference over items is approximate"
        why = "a part of the score in one cluster"
        if self._estimable:
            why = f"{self.error_rate():.1%} false positives where 5 % are meant"
        return f"{text}, with {why}, so inference over items gives no verdict"
