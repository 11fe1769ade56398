/** What the reader of NetworkPolicies fills in, each in another way: the evaluator, which reads the same text by itself, must notice. */

import type { Mutant } from './mutant.ts';

const file = 'src/manifests/read-policy.ts';
const byEvaluator = { test: 'test/properties/tracer.test.ts', killedBy: 'tracer equals evaluator' } as const;

export const readerMutants: readonly Mutant[] = [
  {
    promise: 'policies as written',
    mechanism: 'an egress section without policyTypes isolates egress',
    file,
    off: ["isolatesEgress: countItems(child(spec, 'egress')) > 0 }", 'isolatesEgress: false }'],
    ...byEvaluator,
  },
  {
    promise: 'policies as written',
    mechanism: 'an empty egress section is none',
    file,
    off: ["countItems(child(spec, 'egress')) > 0 }", "child(spec, 'egress').tree !== undefined }"],
    ...byEvaluator,
  },
  {
    promise: 'policies as written',
    mechanism: 'empty policyTypes are none',
    file,
    off: ["countItems(child(spec, 'policyTypes')) > 0;", "child(spec, 'policyTypes').tree !== undefined;"],
    ...byEvaluator,
  },
  {
    promise: 'policies as written',
    mechanism: 'empty from or to is everybody',
    file,
    off: [
      '...(peers.length === 0 ? {} : { peers }),',
      '...(child(rule, peersKey).tree === undefined ? {} : { peers }),',
    ],
    ...byEvaluator,
  },
  {
    promise: 'policies as written',
    mechanism: 'empty ports are all ports',
    file,
    off: [
      '...(ports.length === 0 ? {} : { ports }),',
      "...(child(rule, 'ports').tree === undefined ? {} : { ports }),",
    ],
    ...byEvaluator,
  },
  {
    promise: 'policies as written',
    mechanism: 'a port that states no protocol is of TCP',
    file: 'src/manifests/read-values.ts',
    off: ["return field.tree === undefined ? 'TCP'", "return field.tree === undefined ? 'UDP'"],
    ...byEvaluator,
  },
  {
    promise: 'policies as written',
    mechanism: 'a range ends at endPort',
    file,
    off: ['last: end ?? port, path }', 'last: port, path }'],
    ...byEvaluator,
  },
  {
    promise: 'policies as written',
    mechanism: 'a malformed policy allows nothing',
    file,
    off: ['ingress: report.failed ? [] : ingress,', 'ingress,'],
    test: 'test/scenarios.test.ts',
    killedBy: 'malformed-policy malformed/',
  },
];
