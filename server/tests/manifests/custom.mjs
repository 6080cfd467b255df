// Holds a JSON list of custom resources against their types (a field that is not known is an error)
// and against the rules of their schemas. Prints what is wrong, a line each.

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MODULES = {
  'keda.sh/v1alpha1': '@kubernetes-models/keda/keda.sh/v1alpha1',
  'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1',
};

const beside = (name) => fileURLToPath(new URL(name, import.meta.url));
const resources = JSON.parse(readFileSync(0, 'utf8'));
const wrong = [];
const lines = [];

for (const [number, resource] of resources.entries()) {
  const { apiVersion, kind, metadata } = resource;
  const module = MODULES[apiVersion];
  const Model = module && (await import(module))[kind];
  if (!Model) {
    wrong.push(`${kind} ${metadata.name}: there is no type for ${apiVersion}`);
    continue;
  }
  lines.push(
    `import type { I${kind} as T${number} } from '${module}';`,
    `export const r${number}: T${number} = ${JSON.stringify(resource)};`,
  );
  try {
    new Model(resource).validate();
  } catch (error) {
    wrong.push(`${kind} ${metadata.name}: ${error.message}`);
  }
}

const source = beside(`checked-${process.pid}.ts`);
writeFileSync(source, lines.join('\n'));
const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext'];
const compiler = beside('node_modules/typescript/bin/tsc');
const compiled = spawnSync(process.execPath, [compiler, ...options, source], { encoding: 'utf8' });
rmSync(source);
if (compiled.status !== 0) wrong.push(`${compiled.stdout}${compiled.stderr}`.trim());

if (wrong.length > 0) {
  console.log(wrong.join('\n'));
  process.exit(1);
}
