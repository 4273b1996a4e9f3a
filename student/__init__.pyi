"""The public names of :mod:`lvlm2p.student`, each with the module that holds it."""

from .comparison.compare import compare as compare
from .comparison.config import CompareConfig as CompareConfig
from .config import TrainConfig as TrainConfig
from .export.config import StudentExportConfig as StudentExportConfig
from .export.write import export_student as export_student
from .playback.play import PlayConfig as PlayConfig
from .playback.play import play as play
from .reproduction.config import ReproduceConfig as ReproduceConfig
from .reproduction.run import Reproduction as Reproduction
from .reproduction.run import reproduce as reproduce
from .seeds import TrainCommand as TrainCommand
from .sweep.config import SweepConfig as SweepConfig
from .sweep.result import SweepResult as SweepResult
from .sweep.run import sweep as sweep
from .training.result import TrainResult as TrainResult
from .training.together import SeedsResult as SeedsResult
from .training.together import train_seeds as train_seeds
from .training.train import train as train
from .training.trained import Student as Student
from .training.trained import load_student as load_student
