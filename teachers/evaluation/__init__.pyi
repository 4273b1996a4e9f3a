"""The public names of :mod:`lvlm2p.teachers.evaluation`, each with the module that holds it."""

from .config import EvaluateConfig as EvaluateConfig
from .results import Estimate as Estimate
from .results import Evaluation as Evaluation
from .run import Report as Report
from .run import evaluate as evaluate
from .run import evaluate_teacher as evaluate_teacher
