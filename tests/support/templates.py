"""The templates, which each process reads once. No test may change them."""

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template

STACK = read_template(REPOSITORY / "template.yaml")
DATABASE = read_template(REPOSITORY / "database/template.yaml")
