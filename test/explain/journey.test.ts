/** Packets between nodes: both ends' rules, each with a conntrack of its own. */
import { expect, test } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import type { EndpointBinding, NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import { vethName } from '../../src/dataplane/names.ts';
import type { IpAddress } from '../../src/lib/ip.ts';
import { modelOf } from '../../src/explain/compile-node.ts';
import { explain } from '../../src/explain/explain.ts';
import { investigate } from '../../src/explain/investigate.ts';
import { parseQuestion } from '../../src/explain/question.ts';
import {
  endpoints,
  ingressRule,
  ip,
  namespace,
  node,
  options,
  pod,
  policy,
  service,
  stateOf,
} from './cluster-fixture.ts';

const egressToDb = policy(
  'demo/web-egress',
  { app: 'web' },
  {
    isolatesIngress: false,
    isolatesEgress: true,
    egress: [
      {
        path: 'spec.egress[0]',
        peers: [
          {
            kind: 'pods',
            path: 'spec.egress[0].to[0]',
            podSelector: { matchLabels: { app: 'db' }, matchExpressions: [] },
          },
        ],
      },
    ],
  },
);

const cluster: readonly ClusterObject[] = [
  namespace('demo'),
  node('a', ['192.0.2.1', 'fd00:172::1'], ['10.88.0.0/24', 'fd00:10::/64']),
  node('b', ['192.0.2.2', 'fd00:172::2'], ['10.88.1.0/24', 'fd00:11::/64']),
  pod('demo/web', 'a', ['10.88.0.10', 'fd00:10::10']),
  pod('demo/near', 'a', ['10.88.0.11', 'fd00:10::11']),
  pod('demo/db', 'b', ['10.88.1.10', 'fd00:11::10']),
  pod('demo/agent', 'b', ['192.0.2.2'], { hostNetwork: true }),
  policy('demo/db', { app: 'db' }, { ingress: [ingressRule(0, { app: 'web' }, 5432)] }),
  egressToDb,
  service('demo/db', '10.96.0.1', {
    type: 'NodePort',
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 5432, nodePort: 30080 }],
  }),
  endpoints('demo/db', ['10.88.1.10'], 5432),
];

const gateways: readonly (readonly [string, readonly string[]])[] = [
  ['a', ['192.0.2.1', '10.88.0.1', 'fd00:172::1']],
  ['b', ['192.0.2.2', '10.88.1.1', 'fd00:172::2']],
];

/** Facts as an agent with a bridge or with veths would find them; `.1` of the pod network is the node's gateway address. */
function facts(kind: EndpointBinding['kind']): ReadonlyMap<string, NodeFacts> {
  return new Map(
    gateways.map(([nodeName, addresses]) => {
      const bindings = new Map<IpAddress, EndpointBinding>();
      for (const object of cluster) {
        if (object.kind !== 'Pod' || object.hostNetwork || object.nodeName !== nodeName) continue;
        const veth = vethName('demo', object.name);
        const binding = kind === 'routed' ? { kind, interface: veth } : { kind, bridge: 'cni0', port: veth };
        for (const address of object.ips) bindings.set(address, binding);
      }
      return [nodeName, { bindings, nodeAddresses: addresses.map(ip), conntrackLiberal: false }];
    }),
  );
}

function modelWith(kind: EndpointBinding['kind'], more: readonly ClusterObject[] = []) {
  const optionsOf = (nodeName: string) => ({ ...options, nodeName });
  return modelOf({ state: stateOf([...cluster, ...more]), optionsOf, facts: facts(kind) });
}

function ask(kind: EndpointBinding['kind'], from: string, to: string, more: readonly ClusterObject[] = []) {
  const model = modelWith(kind, more);
  const question = parseQuestion(from, to, { state: model.state, namespace: 'demo' });
  if (!question.ok) throw new Error(question.message);
  const investigation = investigate(model, question.value);
  const { journey } = investigation.branches[0] ?? {};
  return {
    verdict: investigation.verdict,
    nodes: journey?.hops.map((hop) => hop.node),
    hooks: journey?.hops.map(({ trace }) => [...new Set(trace.path.map(({ hook }) => hook))]),
    packet: journey?.outcome.packet,
    explanation: explain(model, question.value),
  };
}

const forwarded = ['PREROUTING', 'FORWARD', 'POSTROUTING'];

test.each(['routed', 'bridged'] as const)(
  '%s: pod to pod of another node meets egress there and ingress here',
  (kind) => {
    const answer = ask(kind, 'web', 'db:5432');
    expect(answer).toMatchObject({ verdict: 'allowed', nodes: ['a', 'b'], hooks: [forwarded, forwarded] });
    const chains = answer.explanation.branches[0]?.steps.map(({ node: name, chain }) => `${name} ${chain}`);
    expect(chains).toContain(`a cali-fw-${vethName('demo', 'web')}`);
    expect(chains).toContain(`b cali-tw-${vethName('demo', 'db')}`);
  },
);

test.each(['routed', 'bridged'] as const)('%s: who answers no', (kind) => {
  expect(ask(kind, 'web', 'near:80')).toMatchObject({ verdict: 'denied', nodes: ['a'] });
  expect(ask(kind, 'near', 'db:5432')).toMatchObject({ verdict: 'denied', nodes: ['a', 'b'] });
  expect(ask(kind, 'web', 'db:5433')).toMatchObject({ verdict: 'denied', nodes: ['a', 'b'] });
  expect(ask(kind, 'outside', 'db:5432')).toMatchObject({ verdict: 'denied', nodes: ['b'] });
});

test.each(['routed', 'bridged'] as const)('%s: pods of one node', (kind) => {
  expect(ask(kind, 'near', 'web:80')).toMatchObject({ verdict: 'allowed', nodes: ['a'], hooks: [forwarded] });
});

test.each(['routed', 'bridged'] as const)('%s: IPv6 by address', (kind) => {
  expect(ask(kind, 'web', '[fd00:11::10]:5432')).toMatchObject({ verdict: 'allowed', nodes: ['a', 'b'] });
  expect(ask(kind, 'near', '[fd00:11::10]:5432')).toMatchObject({ verdict: 'denied' });
});

test.each(['routed', 'bridged'] as const)(
  '%s: the node to its own pod is OUTPUT alone, to another’s it is policed',
  (kind) => {
    expect(ask(kind, 'node/b', 'db:5432')).toMatchObject({
      verdict: 'allowed',
      nodes: ['b'],
      hooks: [['OUTPUT', 'POSTROUTING']],
    });
    expect(ask(kind, 'node/a', 'db:5432')).toMatchObject({
      verdict: 'denied',
      nodes: ['a', 'b'],
      hooks: [
        ['OUTPUT', 'POSTROUTING'],
        ['PREROUTING', 'FORWARD'],
      ],
    });
  },
);

test.each(['routed', 'bridged'] as const)('%s: a pod to nodes: INPUT, after egress policy', (kind) => {
  expect(ask(kind, 'near', 'node/a:22')).toMatchObject({ verdict: 'allowed', hooks: [['PREROUTING', 'INPUT']] });
  expect(ask(kind, 'near', '10.88.0.1:53')).toMatchObject({ verdict: 'allowed', hooks: [['PREROUTING', 'INPUT']] });
  expect(ask(kind, 'near', 'agent:9100')).toMatchObject({
    verdict: 'allowed',
    nodes: ['a', 'b'],
    hooks: [forwarded, ['PREROUTING', 'INPUT']],
  });
  expect(ask(kind, 'web', 'node/a:22')).toMatchObject({ verdict: 'denied', hooks: [['PREROUTING', 'INPUT']] });
});

test('a pod with hostNetwork sends as its node', () => {
  expect(ask('routed', 'agent', 'near:80')).toMatchObject({
    verdict: 'allowed',
    nodes: ['b', 'a'],
    packet: { source: '192.0.2.2' },
  });
});

test.each(['routed', 'bridged'] as const)(
  '%s: a ClusterIP is translated on the client’s node, the client kept',
  (kind) => {
    expect(ask(kind, 'web', 'svc/demo/db:80')).toMatchObject({
      verdict: 'allowed',
      nodes: ['a', 'b'],
      packet: { source: '10.88.0.10', destination: '10.88.1.10', destinationPort: 5432 },
    });
  },
);

test('a nodePort hides the client behind the node that it came to, so policy sees that node', () => {
  const answer = ask('routed', 'outside', 'node/a:30080');
  expect(answer).toMatchObject({
    verdict: 'denied',
    nodes: ['a', 'b'],
    packet: { source: '192.0.2.1', destination: '10.88.1.10', destinationPort: 5432 },
  });
  // On the pod's own node the client comes from the gateway's side, and is hidden only after policy has seen it.
  expect(ask('routed', 'outside', 'node/b:30080')).toMatchObject({
    verdict: 'denied',
    packet: { source: '172.31.254.2' },
  });
});

test.each(['routed', 'bridged'] as const)(
  '%s: a pod that reaches itself through its Service is seen as the gateway',
  (kind) => {
    expect(ask(kind, 'db', 'svc/demo/db:80')).toMatchObject({
      verdict: 'allowed',
      nodes: ['b'],
      packet: { source: '10.88.1.1', destination: '10.88.1.10' },
    });
  },
);

test('a pod that its agent has not found yet is closed, and said to be', () => {
  const late = pod('demo/late', 'a', ['10.88.0.50']);
  const answer = ask('routed', 'late', 'near:80', [late]);
  expect(answer.verdict).toBe('denied');
  expect(answer.explanation.branches[0]?.steps.at(-1)).toMatchObject({
    chain: 'cali-FORWARD',
    action: 'DROP',
    reason: "an address of this node's pod CIDR without a programmed pod: source",
  });
});

test('the address that pods send to is a node’s own, for other nodes too, and for who sends from it', () => {
  expect(ask('routed', 'near', '10.88.1.1:22')).toMatchObject({ verdict: 'allowed', nodes: ['a', 'b'] });
  expect(ask('routed', 'outside', '10.88.1.1:22')).toMatchObject({ verdict: 'allowed', nodes: ['b'] });
  expect(ask('routed', '10.88.0.1', 'near:80')).toMatchObject({ verdict: 'allowed', nodes: ['a'] });
});

test('a pod with hostNetwork answers for its node', () => {
  const ports = [{ name: 'api', port: 9443, protocol: 'TCP' }] as const;
  const more = [pod('demo/agent', 'b', ['192.0.2.2'], { hostNetwork: true, ports })];
  const steps = ask('routed', 'outside', 'node/b:9443', more).explanation.branches[0]?.steps ?? [];
  expect(steps.at(-1)?.reason).toContain('delivered to node b (pod demo/agent, with hostNetwork) at 192.0.2.2:9443');
});
