"""Settings that are fields of a dataclass: one of a wrong name is told with the name that is near."""

from dataclasses import fields
from typing import Any, Self

from bayesastro.hints import did_you_mean
from bayesastro.labels import listed

__all__ = ["Settings"]


class Settings:
    """Base of dataclasses of settings.

    Raises
    ------
    TypeError
        On construction, if a keyword is no setting.

    Examples
    --------
    >>> import bayesastro as ba
    >>> ba.NUTS(num_draw=3)
    Traceback (most recent call last):
    TypeError: `NUTS` has no setting `num_draw`. Did you mean `num_draws`?
    """

    __slots__ = ()

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        if settings:
            known: list[str] = [field.name for field in fields(cls) if field.init]  # type: ignore[arg-type]
            for name in settings:
                if name not in known:
                    hint = did_you_mean(name, known) or f" It has {listed([f'`{n}`' for n in known])}."
                    raise TypeError(f"`{cls.__name__}` has no setting `{name}`.{hint}")
        return super().__new__(cls)
