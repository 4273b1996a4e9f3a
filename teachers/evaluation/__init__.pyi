"""The public names of :mod:`lvlm2p.teachers.evaluation`, each with the module that holds it."""

from .config import EvaluateConfig as EvaluateConfig
from .report.report import Report as Report
from .report.write import write_report as write_report
from .results import Evaluation as Evaluation
from .results import Interval as Interval
from .run import evaluate as evaluate
from .run import evaluate_teacher as evaluate_teacher
