"""Every choice of a training run.

The defaults of PPO and A2C (lr, gamma, GAE, clip, entropy and value weights, epochs, minibatch) are
the paper's; what a recipe sets (:mod:`lvlm2p.student.recipe`) stands before them.

Kept free of heavy imports: the command line reads this file to print its help.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    field_validator,
    model_validator,
)

from lvlm2p.envs.options import MADE
from lvlm2p.student.learn.ask import parse_ask
from lvlm2p.student.recipe import default_recipe, options_for_recipes, recipe_help, recipe_values
from lvlm2p.teachers.options import ANSWERING, BUDGET, STORED, TeacherOptions

if TYPE_CHECKING:
    from lvlm2p.teachers import Teacher

WHO_IS_ASKED = ("offline", "on_miss", "budget_usd", "budget_calls", "retry_failures")
"""Options that may differ when a run is resumed: with others than before, it asks once more about
the states that it has no label for. With the same it does not, and goes on as if never stopped."""

UNSEEN = {
    *("recipe", "run_dir", "resume", "progress", "frames", "final_episodes", "checkpoint_every"),
    *("save_visited", "store", "yes", "device", "track", *WHO_IS_ASKED),
    *MADE,  # they are in the name of the environment
}
"""Options that may differ when a run is resumed, because they change nothing that was learned.

(Whether labels come from the store or from the model makes no difference, and more frames only mean
that the run goes on.)
"""

ABOUT_THE_TEACHER = {"teacher", "teacher_args", "elicit", "view", "view_args", "prompt", "shots"}
"""Options that may differ as long as the teacher's fingerprint is the same."""

BY_ALGORITHM: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 128, "kl_minibatches": 64},
    "a2c": {"n_steps": 5, "kl_minibatches": 4},
}


RUN_DIR = Path("runs/train")
"""The folder of a run that names none; where it exists, the next one: ``runs/train-2``."""


class TrainConfig(TeacherOptions):
    """Options of ``lvlm2p train``."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_default=True)

    help_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "task": ("env", *MADE, "frames", "seed"),
        "teacher": ("teacher", *ANSWERING, "ask", "calibrate"),
        "budget": BUDGET,
        "store": STORED,
        "student": (
            *("recipe", "algo", "n_envs", "n_steps", "n_steps_later", "epochs", "batch_size"),
            *("lr", "gamma", "gae_lambda"),
            *("clip", "ent_coef", "vf_coef", "max_grad_norm", "opt_eps", "hidden"),
            *("memory", "device"),
        ),
        "distillation": (
            *("kl_coef", "kl_schedule", "kl_frames", "kl_fall", "kl_updates", "kl_floor"),
            *("kl_target", "kl_loss", "kl_minibatches", "kl_images", "stale_labels"),
            "teacher_return",
        ),
        "run": (
            *("run_dir", "resume", "eval_every", "eval_episodes", "final_episodes"),
            *("deterministic", "checkpoint_every", "save_visited", "track"),
            *("progress", "config", "json"),
        ),
    }

    env: str
    """Gymnasium id of the environment, such as MiniGrid-GoToDoor-6x6-v0."""

    teacher: str = "expert"
    """Who gives advice; none trains by rewards alone. `lvlm2p teachers` lists who there is."""

    recipe: str | None = Field(default=None, description=recipe_help())

    algo: Literal["ppo", "a2c"] = "ppo"
    """The reinforcement-learning algorithm."""

    frames: int = Field(default=20_000, gt=0)
    """Environment steps to train for, all environments together; the last rollout is shorter."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the weights, the episodes and every random choice."""

    run_dir: Path = RUN_DIR
    """Folder of the run; must be new or empty, unless --resume. Where it is left out: runs/train,
    else runs/train-2 and so on, the first that is new (with --resume: the last that is there)."""

    resume: bool = False
    """Go on from the folder's last checkpoint, with the very same result as without the stop."""

    n_envs: int = Field(default=16, gt=0)
    """Environments stepped side by side."""

    n_steps: int | None = Field(default=None, gt=0)
    """Steps in each environment between two updates; None: 128 for PPO, 5 for A2C."""

    n_steps_later: int | None = Field(default=None, gt=0)
    """As many at least once the student has caught up with its teacher (--kl-schedule caught-up);
    None: --n-steps."""

    epochs: int = Field(default=4, gt=0)
    """PPO's passes over each rollout."""

    batch_size: int = Field(default=256, gt=0)
    """States in a minibatch (A2C: of the distillation; its own step takes the whole rollout)."""

    lr: float = Field(default=1e-3, gt=0)
    """Learning rate: of Adam for PPO, of RMSprop for A2C."""

    gamma: float = Field(default=0.99, ge=0, le=1)
    """Discount of future rewards."""

    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation."""

    clip: float = Field(default=0.2, gt=0)
    """PPO's clipping range."""

    ent_coef: float | None = Field(default=None, ge=0)
    """Weight of the entropy bonus; None: 0.01 without a teacher, 0.001 with one."""

    vf_coef: float = Field(default=0.5, ge=0)
    """Weight of the value loss."""

    max_grad_norm: float = Field(default=0.5, gt=0)
    """Gradients are scaled down to this norm."""

    opt_eps: float = Field(default=1e-8, gt=0)
    """Epsilon of Adam and RMSprop."""

    hidden: int = Field(default=64, gt=0)
    """Width of the network's hidden layers."""

    memory: Literal["none", "lstm"] = "none"
    """lstm: actor and critic remember the episode, and learn from sequences of n_steps frames; for
    environments that do not always show what matters."""

    device: str = "cpu"
    """Where the student learns: cpu (the fastest for networks this small), cuda, cuda:1, or auto:
    cuda if there is one."""

    kl_coef: float = Field(default=1.0, ge=0)
    """Weight of the distillation loss KL(teacher‖student): the paper's lambda."""

    kl_schedule: Literal["constant", "caught-up", "by-update"] = "caught-up"
    """How the weight falls, never below --kl-floor. caught-up: constant until the student's
    evaluated return reaches the teacher's, then linearly over --kl-frames; by-update: --kl-fall
    each update from the first on, and to 0 after --kl-updates."""

    kl_frames: int = Field(default=4_000, gt=0)
    """How many frames the fall takes, with --kl-schedule caught-up."""

    kl_fall: float = Field(default=0.005, ge=0)
    """What the weight loses at each update, with --kl-schedule by-update."""

    kl_updates: int = Field(default=3_000, ge=0)
    """Updates after which there is no distillation, with --kl-schedule by-update."""

    kl_floor: float = Field(default=0.2, ge=0, le=1)
    """The share of --kl-coef below which the weight never falls; 0: distillation ends."""

    kl_target: Literal["soft", "argmax"] = "argmax"
    """What is distilled: the label as it is, or its best action."""

    kl_loss: Literal["kl", "original-code"] = "kl"
    """kl: KL(teacher‖student); original-code: what the released code of LVLM2P computes instead."""

    stale_labels: bool = False
    """Label the first rollout alone, and take its labels for the states at the same places of
    every later one, as the released code of LVLM2P does."""

    kl_minibatches: int | None = Field(default=None, ge=0)
    """Extra distillation minibatches after each update, on all states labelled so far; they cost
    no question. None: 64 for PPO, 4 for A2C."""

    kl_images: int = Field(default=0, ge=0)
    """Symmetric images of each labelled state (the room turned or mirrored, colours exchanged)
    that are distilled beside it in the extra minibatches; they cost no question."""

    ask: str = "all"
    """Which new states to ask about: all, random:0.25, entropy:0.25 (where the student is least
    sure), or budget:1000 (the first so many)."""

    calibrate: Path | None = None
    """A report.json of `lvlm2p evaluate`: labels are sharpened or softened by the temperature that
    it fitted for this teacher."""

    teacher_return: float | None = None
    """The teacher's mean return, for --kl-schedule caught-up; None: it acts in 20 episodes."""

    eval_every: int = Field(default=2_000, ge=0)
    """Frames between two evaluations of the greedy student alone; 0: only at the end."""

    eval_episodes: int = Field(default=50, gt=0)
    """Episodes of such an evaluation, always the same ones."""

    final_episodes: int = Field(default=100, gt=0)
    """Fresh episodes of the evaluation at the end."""

    deterministic: bool = True
    """Evaluate by the student's most probable actions; --no-deterministic: by samples of them.
    Where not all is seen, a student without memory that never varies goes round in circles."""

    checkpoint_every: int = Field(default=5_000, ge=0)
    """Frames between two checkpoints; 0: only at the end or on Ctrl-C."""

    save_visited: bool = False
    """Write each distinct state to visited.jsonl, for `lvlm2p label --from-run`."""

    track: Literal["none", "tensorboard", "wandb", "mlflow", "aim"] = "none"
    """Where else the run is shown: numbers, hyper-parameters, curves and an episode as pictures
    (docs/tracking.md). TensorBoard's numbers are in the run's folder without it."""

    progress: bool = True
    """Show a progress bar on stderr."""

    @classmethod
    def preset(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the recipe of the options ``given`` sets, apart from these.

        Raises:
            teachers.errors.UserError: there is no such recipe, or it can't be used.
        """
        options = options_for_recipes(cls.help_groups, cls.model_fields)
        if options.keys() <= given.keys():  # a saved config.yaml: its recipe may have gone
            return {}
        recipe = given.get("recipe") or default_recipe(str(given.get("env")), given.get("teacher"))
        values = {"recipe": recipe, **recipe_values(str(recipe), given, options)}
        return {key: value for key, value in values.items() if given.get(key) is None}

    @model_validator(mode="wrap")
    @classmethod
    def _over_the_recipe(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        config = handler({**data, **cls.preset(data)})
        config.model_fields_set.intersection_update(data)
        return config

    @model_validator(mode="after")
    def _known_environment(self) -> Self:
        """As it is made: with its arguments, which may be what makes its actions discrete."""
        from lvlm2p.envs import task_for

        task_for(self.env)
        return self

    @field_validator("ask")
    @classmethod
    def _known_rule(cls, ask: str) -> str:
        parse_ask(ask)
        return ask

    @model_validator(mode="after")
    def _defaults_that_depend(self) -> TrainConfig:
        if self.ent_coef is None:
            self.__dict__["ent_coef"] = 0.01 if self.teacher == "none" else 0.001
        for name, value in BY_ALGORITHM[self.algo].items():
            if getattr(self, name) is None:
                self.__dict__[name] = value
        return self

    def what_counts(self) -> dict[str, Any]:
        """The options that decide what is learned, as JSON values."""
        return self.model_dump(mode="json", exclude=UNSEEN)

    def load_own_teacher(self) -> Teacher:
        """The teacher that the options name.

        Raises:
            teachers.errors.UserError: as :meth:`load_teacher`, or the calibration is another's.
        """
        return self.load_calibrated(self.teacher, self.calibrate)

    def _ledger(self) -> Path | None:
        """A run has one budget, however often it is resumed."""
        return self.run_dir / "budget.json"
