"""Settings of engines and trainers: wrong names are told, and what else dataclasses do is kept."""

import copy
import dataclasses
import inspect
import pickle

import pytest

import bayesastro as ba
from bayesastro.inference import engines

KINDS = (*engines(), ba.NPE, ba.NLE, ba.NRE, ba.TMNRE, ba.Classifier)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_setting_of_a_wrong_name_is_told_with_the_near_one(kind):
    name = next(field.name for field in dataclasses.fields(kind) if field.name.startswith(("num_", "hidden")))
    with pytest.raises(TypeError, match=f"^`{kind.__name__}` has no setting `{name[:-1]}`. Did you mean `{name}`\\?$"):
        kind(**{name[:-1]: 3})
    with pytest.raises(TypeError, match=rf"^`{kind.__name__}` has no setting `xyzzy`. It has `\w+`, `"):
        kind(xyzzy=3)


@pytest.mark.parametrize(("name", "meant"), [("num_samples", "num_draws"), ("tune", "num_warmup")])
def test_a_setting_by_the_name_of_other_packages_is_told(name, meant):
    with pytest.raises(TypeError, match=rf"^`NUTS` has no setting `{name}`. Did you mean `{meant}`\?$"):
        ba.NUTS(**{name: 3})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_they_stay_ordinary_dataclasses(kind):
    made = kind(**({"marginals": ("a",)} if kind is ba.TMNRE else {}))
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == dataclasses.replace(made) == made
    names = [field.name for field in dataclasses.fields(kind)]
    assert list(inspect.signature(kind).parameters) == names
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, names[0], 1)
    with pytest.raises(TypeError, match="xyzzy"):
        dataclasses.replace(made, xyzzy=1)
