"""Teachers that are language models: prompted, hosted or in this process."""
