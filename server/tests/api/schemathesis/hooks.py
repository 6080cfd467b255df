"""Hypothesis 6.170.17 breaks down (IndexError in its optimiser) when it is told how well requests do,
which leans it towards those that are accepted. There are enough of these without it."""

import re
from urllib.parse import unquote

import hypothesis
import schemathesis
from schemathesis import GenerationMode

hypothesis.target = lambda observation, *, label="": observation


@schemathesis.hook
def filter_case(context, case):
    """Schemathesis 4.32.5 now and then makes up a good path that its own pattern does not allow (one in
    a thousand has DEL or U+0003 in it), and expects it to be accepted."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return True
    for parameter in case.operation.path_parameters:
        pattern = parameter.definition.get("schema", {}).get("pattern")
        value = (case.path_parameters or {}).get(parameter.name)
        if pattern and isinstance(value, str) and not re.search(pattern, unquote(value)):
            return False
    return True
