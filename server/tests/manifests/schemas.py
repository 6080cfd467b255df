"""Holds a JSON list of resources against the strict schemas of Kubernetes: each version that is
named. Prints what is wrong, a line each."""

import json
import sys

import kubernetes_validate

wrong = 0
for one in json.load(sys.stdin):
    name = f"{one['kind']} {one['metadata']['name']}"
    for version in sys.argv[1:]:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = "/".join(str(part) for part in error.path)
            print(f"{name} by Kubernetes {version}: {where}: {error.message}")
            wrong += 1
sys.exit(1 if wrong else 0)
