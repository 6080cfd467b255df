"""YAML documents on stdin, as a JSON list on stdout."""

import json
import sys

import yaml

json.dump([one for one in yaml.safe_load_all(sys.stdin) if one is not None], sys.stdout)
