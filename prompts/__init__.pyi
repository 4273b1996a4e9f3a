"""The public names of :mod:`lvlm2p.prompts`, each with the module that holds it."""

from .answer_format import AnswerFormat as AnswerFormat
from .answer_format import Elicit as Elicit
from .conversation import Conversation as Conversation
from .conversation import Message as Message
from .conversation import Question as Question
from .conversation import plain_text as plain_text
from .errors import PromptError as PromptError
from .examples import Example as Example
from .examples import load_examples as load_examples
from .plans import PLANS as PLANS
from .plans import PlanAnswer as PlanAnswer
from .prompt import Prompt as Prompt
from .prompt import load_prompt as load_prompt
from .prompt import prompt_names as prompt_names
from .schema import Analysis as Analysis
from .schema import action_model as action_model
from .schema import analysis_json as analysis_json
from .schema import choice_json as choice_json
from .schema import choice_model as choice_model
from .schema import letters as letters
from .schema import probabilities_json as probabilities_json
