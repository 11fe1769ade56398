import { describe, expect, test } from 'vitest';
import type { LabelSelector } from '../../src/cluster/objects.ts';
import { namedPortSetName, selectorSetName } from '../../src/dataplane/names.ts';
import type { PodsPeer } from '../../src/policy/selector-text.ts';
import {
  calicoSelectorText,
  normalText,
  peerSelectorText,
  subjectSelectorText,
} from '../../src/policy/selector-text.ts';
import { addressSet, allPods, namedPortSet, peerSelection } from '../../src/policy/set-spec.ts';
import { felixVectors } from '../vectors/felix.ts';
import { empty, expressions, labels, policy } from './objects.ts';
import { parseSelector } from './selector-parser.ts';

interface SelectorVectors {
  readonly selectors: readonly {
    readonly selector: string;
    readonly normalised: string;
    readonly v4Name: string;
    readonly v6Name: string;
  }[];
  readonly namedPorts: readonly {
    readonly selector: string;
    readonly protocol: string;
    readonly port: string;
    readonly v4Name: string;
  }[];
}

const vectors = felixVectors<SelectorVectors>('selectors.json');

describe('recorded selectors', () => {
  test('there are 45 selectors and 18 named ports', () => {
    expect([vectors.selectors.length, vectors.namedPorts.length]).toEqual([45, 18]);
  });

  test.each(vectors.selectors)('$selector', ({ selector, normalised, v4Name, v6Name }) => {
    const text = normalText(parseSelector(selector));
    expect(text).toBe(normalised);
    expect(selectorSetName(text, 'ipv4')).toBe(v4Name);
    expect(selectorSetName(text, 'ipv6')).toBe(v6Name);
  });

  test.each(vectors.namedPorts)('$selector, $port/$protocol', ({ selector, protocol, port, v4Name }) => {
    expect(namedPortSetName(normalText(parseSelector(selector)), protocol, port, 'ipv4')).toBe(v4Name);
  });
});

function peer(podSelector?: LabelSelector, namespaceSelector?: LabelSelector): PodsPeer {
  return {
    kind: 'pods',
    path: '',
    ...(podSelector === undefined ? {} : { podSelector }),
    ...(namespaceSelector === undefined ? {} : { namespaceSelector }),
  };
}

const k8s = 'projectcalico.org/orchestrator == "k8s"';

describe('a peer in normal form', () => {
  test.each<[string, PodsPeer, string]>([
    ['own namespace, all pods', peer(empty), `(projectcalico.org/namespace == "default" && ${k8s})`],
    [
      'labels sorted by key',
      peer(labels({ b: '2', a: '1' })),
      `(projectcalico.org/namespace == "default" && (${k8s} && a == "1" && b == "2"))`,
    ],
    [
      'all four operators, in their order after the labels',
      peer({
        matchLabels: { z: '1' },
        matchExpressions: [
          { key: 'n', operator: 'NotIn', values: ['y', 'x'] },
          { key: 'i', operator: 'In', values: ['b', 'a', 'b'] },
          { key: 'd', operator: 'DoesNotExist', values: [] },
          { key: 'e', operator: 'Exists', values: [] },
        ],
      }),
      `(projectcalico.org/namespace == "default" && (${k8s} && z == "1" && n not in {"x", "y"} && i in {"a", "b"} && !has(d) && has(e)))`,
    ],
    ['every namespace', peer(undefined, empty), `(has(projectcalico.org/namespace) && ${k8s})`],
    ['namespaces by one label', peer(undefined, labels({ team: 'web' })), `(pcns.team == "web" && ${k8s})`],
    [
      'both, several namespace terms',
      peer(labels({ app: 'x' }), {
        matchLabels: { team: 'web' },
        matchExpressions: [{ key: 'env', operator: 'Exists', values: [] }],
      }),
      `((pcns.team == "web" && has(pcns.env)) && (${k8s} && app == "x"))`,
    ],
  ])('%s', (_name, given, expected) => {
    expect(peerSelectorText('default', given)).toBe(expected);
  });

  test("the seed's set", () => {
    const selection = peerSelection('default', peer(labels({ 'networking/allow-db-access': 'true' })));
    expect(addressSet(selection).names).toEqual({
      ipv4: 'cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge',
      ipv6: 'cali60s:LrVD8vMIGQDyv8Y7sPFB1Ge',
    });
  });

  test('a named port of every pod', () => {
    const { names } = namedPortSet(allPods, { protocol: 'tcp', name: 'http' });
    expect(names.ipv4).toBe('cali40n:cl9_Kgeu4H0OGLbhovVR3NB');
  });
});

test("a policy's own selector has the pod part first", () => {
  expect(subjectSelectorText(policy('default/p', { podSelector: labels({ app: 'db' }) }))).toBe(
    `((${k8s} && app == "db") && projectcalico.org/namespace == "default")`,
  );
  expect(subjectSelectorText(policy('default/p'))).toBe(`(${k8s} && projectcalico.org/namespace == "default")`);
});

test.each<[string, 'pods' | 'namespaces', LabelSelector, string]>([
  ['no pods term', 'pods', empty, "projectcalico.org/orchestrator == 'k8s'"],
  ["the seed's", 'pods', labels({ app: 'db' }), "projectcalico.org/orchestrator == 'k8s' && app == 'db'"],
  ['every namespace', 'namespaces', empty, 'all()'],
  [
    'operators',
    'namespaces',
    expressions(
      { key: 'team', operator: 'In', values: ['web', 'sre'] },
      { key: 'env', operator: 'NotIn', values: ['dev'] },
      { key: 'a', operator: 'Exists', values: [] },
      { key: 'b', operator: 'DoesNotExist', values: [] },
    ),
    "team in { 'web', 'sre' } && env not in { 'dev' } && has(a) && ! has(b)",
  ],
])('calicoctl shows %s', (_name, of, selector, expected) => {
  expect(calicoSelectorText(selector, of)).toBe(expected);
});
