"""Emulators: functions of a few labels that stand for costly simulators; trained by :mod:`bayesastro.emulators`."""

from bayesastro.simulators.emulators.attention import AttentionBlock, AttentionWeights, WavelengthAttention
from bayesastro.simulators.emulators.forms import (
    ACTIVATIONS,
    Activation,
    Domain,
    Emulator,
    Perceptron,
    PixelNetworks,
    PrincipalComponents,
)

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "AttentionBlock",
    "AttentionWeights",
    "Domain",
    "Emulator",
    "Perceptron",
    "PixelNetworks",
    "PrincipalComponents",
    "WavelengthAttention",
]
