"""midigen: symbolic music with machine learning, as Unix tools.

The package holds the contracts (records, vocabularies, plugins, splits) and the engines that the
commands call. It has no tokenizer, model, labeler or weight of its own: those are plugins.
"""

__version__ = "0.1.0"
