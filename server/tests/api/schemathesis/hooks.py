"""Hypothesis 6.170.17 breaks down (IndexError in its optimiser) when it is told how well requests do,
which leans it towards those that are accepted. There are enough of these without it."""

import hypothesis

hypothesis.target = lambda observation, *, label="": observation
