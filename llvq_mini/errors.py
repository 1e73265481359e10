"""The one exception class of the library's own.

Wrong arguments raise ``ValueError`` or ``TypeError`` as everywhere in Python.  ``LLVQError`` is for what lies outside
the program: files that are damaged, models that are missing, an environment that lacks something.  Its message is one
sentence that names the thing, the rule, what was found and the remedy; the command line prints it as it stands.
"""


class LLVQError(Exception):
    """A file, model or environment that cannot be used; the message says what, why and the remedy."""
