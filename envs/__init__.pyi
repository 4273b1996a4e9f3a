"""The public names of :mod:`lvlm2p.envs`, each with the module that holds it."""

from .errors import Lvlm2pError as Lvlm2pError
from .errors import UnknownNameError as UnknownNameError
from .errors import UserError as UserError
from .make import make_env as make_env
from .make import view_of as view_of
from .registry import covered_ids as covered_ids
from .registry import register_task as register_task
from .registry import task_for as task_for
from .registry import task_named as task_named
from .registry import tasks as tasks
from .sampling import sample_states as sample_states
from .symmetry import canonical as canonical
from .symmetry import mirror as mirror
from .task import Action as Action
from .task import ImageStyle as ImageStyle
from .task import Plan as Plan
from .task import Symmetry as Symmetry
from .task import Task as Task
from .vector import Observation as Observation
from .vector import Step as Step
from .vector import VectorEnv as VectorEnv
from .view import DRAWING_VERSION as DRAWING_VERSION
from .view import View as View
