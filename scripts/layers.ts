/** The whole architecture in one table: a layer may import itself and what is listed, nothing else. Lower layers come first. */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  cluster: ['lib'],
  dataplane: ['lib'],
  policy: ['cluster', 'dataplane', 'lib'],
  service: ['cluster', 'dataplane', 'lib'],
  compile: ['policy', 'service', 'cluster', 'dataplane', 'lib'],
  explain: ['compile', 'policy', 'service', 'cluster', 'dataplane', 'lib'],
  config: ['lib'],
  telemetry: ['config', 'lib'],
  manifests: ['cluster', 'telemetry', 'lib'],
  // A policy is read by the same strict rules, wherever it comes from.
  kube: ['manifests', 'cluster', 'telemetry', 'lib'],
  backends: ['dataplane', 'telemetry', 'lib'],
  server: ['explain', 'compile', 'policy', 'service', 'cluster', 'dataplane', 'telemetry', 'config', 'lib'],
  agent: 'server backends kube manifests telemetry config explain compile service policy cluster dataplane lib'.split(
    ' ',
  ),
  lab: ['agent', 'manifests', 'backends', 'cluster', 'dataplane', 'telemetry', 'config', 'lib'],
  cli: 'lab agent server backends kube manifests telemetry config explain compile service policy cluster dataplane lib'.split(
    ' ',
  ),
};

/** Layers that answer from their input alone. */
export const pureLayers: readonly string[] = ['lib', 'cluster', 'dataplane', 'policy', 'service', 'compile', 'explain'];

/** What a pure layer may not name: a clock, chance, the process, anything that happens later. The same input would give another answer. */
export const impureGlobals: readonly string[] = [
  'Date',
  'performance',
  'process',
  'crypto',
  'fetch',
  'globalThis',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
];
export const impureProperties: readonly { readonly object: string; readonly property: string }[] = [
  { object: 'Math', property: 'random' },
];

/** What a pure layer may import from outside the project: things that compute, and touch nothing. */
export const pureModules: readonly string[] = ['node:crypto', 'ipaddr.js', 'yaml', 'zod'];

/** Programs are run by one file. */
export const processModules: readonly string[] = ['execa', 'node:child_process', 'child_process'];
export const processFile = 'backends/exec.ts';
