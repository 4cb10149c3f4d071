"""Every problem type that an answer or a failed job can carry.

The page docs/problems.md is made of them (common/problems/page.py), and so are the answers that
nginx gives by itself (standalone/nginx_problems.py).
"""

from typing import Final

from common.problems import answers, failures
from common.problems.types import Problem

# In the order in which they stand there.
CATALOGUE: Final = tuple(
    value
    for module in (answers, failures)
    for value in vars(module).values()
    if isinstance(value, Problem)
)
