"""What the methods share whose networks summarise the observed sites."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bayesastro.hints import told
from bayesastro.inference.engine import require_positive
from bayesastro.inference.neural.embeddings import Embedding
from bayesastro.inference.neural.network import Plan
from bayesastro.inference.neural.plans import planned_summary
from bayesastro.inference.neural.sources import Source
from bayesastro.inference.neural.standardise import Standardisation
from bayesastro.inference.neural.trainer import Trainer
from bayesastro.problem import Problem

__all__ = ["SummaryTrainer"]


@dataclass(frozen=True, kw_only=True)
class SummaryTrainer(Trainer, ABC):
    """Settings of training with summaries; abstract."""

    hidden: int = 64
    embeddings: Mapping[str, Embedding] = field(default_factory=dict)
    num_features: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "hidden", *(["num_features"] if self.num_features is not None else []))
        self._require_range("dropout", 0.0, 0.9)
        for name, embedding in self.embeddings.items():
            if not isinstance(embedding, Embedding):
                raise TypeError(f"The embedding of `{name}` must be one such as `Dense()`, but {told(embedding)} came.")

    def _summarised(self, problem: Problem, rows: Source, **architecture: Any) -> tuple[Standardisation, Plan]:
        """Standardisation and plan, with the summaries as the settings say."""
        return planned_summary(
            rows,
            problem,
            self.embeddings,
            self.transforms,
            hidden=self.hidden,
            num_features=self.num_features,
            dropout=self.dropout,
            **architecture,
        )

    def _described(self) -> dict[str, Any]:
        described = {name: embedding.described() for name, embedding in self.embeddings.items()}
        return super()._described() | {"embeddings": described}
