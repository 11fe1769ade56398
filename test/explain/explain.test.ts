/** The seed's cluster, explained: the answers that the project was begun for. */
import { expect, test } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { explain } from '../../src/explain/explain.ts';
import { investigate } from '../../src/explain/investigate.ts';
import { parseQuestion } from '../../src/explain/question.ts';
import { renderExplanation } from '../../src/explain/render-text.ts';
import { clusterOf, endpoints, ip, namespace, pod, policy, service } from './cluster-fixture.ts';
import { allowDbAccess, seedCluster } from './seed-cluster.ts';

function ask(from: string, to: string, more: readonly ClusterObject[] = []) {
  const model = clusterOf([...seedCluster, ...more]);
  const question = parseQuestion(from, to, { state: model.state });
  if (!question.ok) throw new Error(question.message);
  return { model, question: question.value, explanation: explain(model, question.value) };
}

function text(from: string, to: string, more: readonly ClusterObject[] = []): string {
  const { model, question } = ask(from, to, more);
  return renderExplanation(model, investigate(model, question));
}

test('frontend to db is denied by the chain, rule and policy that the seed shows', () => {
  const { explanation } = ask('frontend', 'db:80');
  expect(explanation).toMatchObject({
    verdict: 'denied',
    how: 'drop',
    branches: [{ probability: 1, verdict: 'denied' }],
  });
  const steps = explanation.branches[0]?.steps ?? [];
  expect(steps.at(-1)).toEqual({
    node: 'minikube',
    hook: 'FORWARD',
    table: 'filter',
    chain: 'cali-tw-cali95aa86cbb2a',
    rule: 7,
    hash: 'FUDVBYh1Yr6tVRgq',
    action: 'DROP',
    reason: 'none of the policies that isolate the pod allows the packet: default/allow-db-access',
    object: 'Pod default/db-8d66ff5f7-bp6kf',
  });
  expect(steps.at(-2)).toMatchObject({
    chain: 'cali-pi-_tTE-E7yY40ogArNVgKt',
    action: 'end of chain',
    object: 'NetworkPolicy default/allow-db-access',
  });
});

test('backend to db is allowed by the rule that names it, with file and line', () => {
  const { explanation } = ask('backend', 'db:80');
  expect(explanation).toMatchObject({ verdict: 'allowed', how: null });
  expect(explanation.branches[0]?.steps).toContainEqual({
    node: 'minikube',
    hook: 'FORWARD',
    table: 'filter',
    chain: 'cali-pi-_tTE-E7yY40ogArNVgKt',
    rule: 1,
    hash: 'M4Und37HGrw6jUk8',
    action: 'MARK set 0x10000 (accepted)',
    reason: 'allows ingress: sets the accept mark',
    object: 'NetworkPolicy default/allow-db-access',
    path: 'spec.ingress[0].from[0]',
    file: 'policy.yaml',
    line: 11,
  });
});

test('a refusal names the policy, why its rule does not fit, and the rule that would', () => {
  const said = text('frontend', 'db:80');
  expect(said).toContain('DENIED (the connection times out): dropped on node minikube');
  expect(said).toContain('  by rule 7 of chain cali-tw-cali95aa86cbb2a, table filter, comment cali:FUDVBYh1Yr6tVRgq');
  expect(said.slice(said.indexOf('1 policy'))).toBe(
    `1 policy isolates pod default/db-8d66ff5f7-bp6kf for ingress, and it does not allow this:
  NetworkPolicy default/allow-db-access (policy.yaml:1)
    spec.ingress[0].from[0] (policy.yaml:11) does not select default/frontend-8b474f47-zdqdv (10.88.0.24)
To allow it, add this below spec: of that policy, or of a new policy that selects the pod:
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: frontend
      ports:
        - protocol: TCP
          port: 80
`,
  );
});

const torn = (name: string, line = 8) =>
  policy(
    `default/${name}`,
    { app: 'db' },
    {
      malformed: { path: 'spec.ingress[0].ports[0].port', line },
      location: { file: 'torn.yaml', line: 1, lines: new Map() },
    },
  );

function withoutDbAccess(...others: readonly ClusterObject[]): string {
  const model = clusterOf([...seedCluster.filter((object) => object !== allowDbAccess), ...others]);
  const question = parseQuestion('frontend', 'db:80', { state: model.state });
  if (!question.ok) throw new Error(question.message);
  return renderExplanation(model, investigate(model, question.value));
}

test('a policy that cannot be read whole is told as that: a rule in it would not be read either', () => {
  const said = withoutDbAccess(torn('torn'));
  expect(said).toContain(`  NetworkPolicy default/torn (torn.yaml:1)
    cannot be read whole (torn.yaml:8: spec.ingress[0].ports[0].port): it allows nothing until mended
To allow it, add this below spec: of a new policy that selects the pod:
`);
  expect(said).not.toContain('has no ingress rule');
});

test('beside policies that can be read, the rule goes into one of those', () => {
  expect(withoutDbAccess(torn('torn'), allowDbAccess)).toContain(
    'add this below spec: of NetworkPolicy default/allow-db-access, or of a new policy that selects the pod:',
  );
  const quiet = policy('default/quiet', { app: 'db' });
  expect(withoutDbAccess(torn('torn'), allowDbAccess, quiet)).toContain(
    'add this below spec: of any one of the others, or of a new policy that selects the pod:',
  );
});

test('where an API server has the policy there is no line to name', () => {
  const remote = policy('default/torn', { app: 'db' }, { malformed: { path: 'spec.ingress[0].from[0].x' } });
  expect(withoutDbAccess(remote)).toContain('    cannot be read whole (spec.ingress[0].from[0].x): it allows nothing');
});

test('egress and ingress that would both refuse are both named', () => {
  const quiet = policy('default/quiet', { app: 'frontend' }, { isolatesIngress: false, isolatesEgress: true });
  const said = text('frontend', 'db:80', [quiet]);
  expect(said).toContain('NetworkPolicy default/quiet\n    has no egress rule: it allows nothing');
  expect(said).toContain('1 policy isolates pod default/db-8d66ff5f7-bp6kf for ingress, and it does not allow this');
  expect(said).toContain(
    '  egress:\n    - to:\n        - podSelector:\n            matchLabels:\n              app: db',
  );
});

test('a pod of another namespace needs a namespaceSelector, a label that looks like a boolean keeps its quotes', () => {
  const client = pod('shop/web', 'minikube', ['10.88.0.30'], { labels: { allowed: 'true' } });
  const said = text('shop/web', 'db:80', [namespace('shop'), client]);
  expect(said).toContain(`        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: shop
          podSelector:
            matchLabels:
              allowed: "true"`);
});

test('a client outside the cluster needs an ipBlock', () => {
  expect(text('outside', 'db:80')).toContain('        - ipBlock:\n            cidr: 172.31.254.2/32');
});

test('every condition that does not fit is told apart', () => {
  const rules = [
    {
      path: 'spec.ingress[0]',
      peers: [
        {
          kind: 'ipBlock',
          path: 'spec.ingress[0].from[0]',
          cidr: block('10.88.0.0/24'),
          except: [block('10.88.0.24/32')],
        },
      ],
    },
    {
      path: 'spec.ingress[1]',
      peers: [{ kind: 'ipBlock', path: 'spec.ingress[1].from[0]', cidr: block('10.99.0.0/16'), except: [] }],
    },
    {
      path: 'spec.ingress[2]',
      ports: [{ kind: 'range', protocol: 'UDP', first: 80, last: 80, path: 'spec.ingress[2].ports[0]' }],
    },
    {
      path: 'spec.ingress[3]',
      ports: [{ kind: 'range', protocol: 'TCP', first: 443, last: 445, path: 'spec.ingress[3].ports[0]' }],
    },
    {
      path: 'spec.ingress[4]',
      ports: [{ kind: 'named', protocol: 'TCP', name: 'https', path: 'spec.ingress[4].ports[0]' }],
    },
  ] as const;
  const said = text('frontend', 'db:80', [{ ...allowDbAccess, ingress: rules }]);
  expect(said).toContain('default/frontend-8b474f47-zdqdv (10.88.0.24) is in its exception 10.88.0.24/32');
  expect(said).toContain('default/frontend-8b474f47-zdqdv (10.88.0.24) is outside 10.99.0.0/16');
  expect(said).toContain('allows UDP only');
  expect(said).toContain('allows 443-445, not port 80');
  expect(said).toContain('port 80 is not a port that the destination has under the allowed name');
});

test('a Service with three endpoints is three branches; one that is denied makes the answer', () => {
  const all = [
    service('default/all', '10.96.0.20'),
    endpoints('default/all', ['10.88.0.24', '10.88.0.26', '10.88.0.27'], 80),
  ];
  const { explanation } = ask('frontend', 'svc/default/all:80', all);
  expect(explanation).toMatchObject({ verdict: 'denied', how: 'drop' });
  expect(explanation.branches.map(({ probability, verdict }) => [probability, verdict])).toEqual([
    [1 / 3, 'allowed'],
    [1 / 3, 'denied'],
    [1 / 3, 'allowed'],
  ]);
  const said = text('frontend', 'svc/default/all:80', all);
  expect(said).toContain('   33.3%  10.88.0.26:80  default/db-8d66ff5f7-bp6kf       denied');
  expect(said).toContain('Policies see the endpoint 10.88.0.26:80, not the address 10.96.0.20:80 that was asked for.');
});

test('twelve endpoints behind one of forty Services are a twelfth each', () => {
  const pods = Array.from({ length: 12 }, (_, index) =>
    pod(`default/many-${index}`, 'minikube', [`10.88.0.${100 + index}`]),
  );
  const others = Array.from({ length: 40 }, (_, index) => service(`default/other-${index}`, `10.96.1.${index}`));
  const more = [
    ...pods,
    ...others,
    service('default/many', '10.96.0.30'),
    endpoints(
      'default/many',
      pods.flatMap(({ ips }) => ips),
    ),
  ];
  const { explanation } = ask('frontend', 'svc/default/many:80', more);
  expect(explanation.branches.map(({ probability }) => probability)).toEqual(Array.from({ length: 12 }, () => 1 / 12));
  const reached = explanation.branches.map(({ steps }) => steps.at(-1)?.reason.split(' ')[3]);
  expect(new Set(reached)).toEqual(new Set(pods.map(({ name }) => `default/${name}`)));
});

test.each([
  ['no endpoint', 'svc/default/none:80', 'no-endpoint', 'the Service has no endpoint that can be used'],
  [
    'no such port of the Service',
    'svc/default/backend:81',
    'unknown-address',
    'has no port 81/TCP at 10.96.0.10: its ports are 80/TCP',
  ],
  ['no pod has the address', '10.88.0.99:80', 'unknown-address', 'nobody has the address 10.88.0.99'],
  ['the pod has ended', 'job:80', 'unknown-address', 'pod default/job has ended (Succeeded)'],
  [
    'the pod that had the address has ended',
    '10.88.0.40:80',
    'unknown-address',
    'pod default/job, which had 10.88.0.40, has ended (Succeeded)',
  ],
  ['the pod has no address yet', 'young:80', 'unknown-address', 'pod default/young has no address yet'],
  [
    'a headless Service without endpoints',
    'svc/default/headless:80',
    'no-endpoint',
    'is headless and has no ready endpoint',
  ],
])('%s', (_name, to, how, reason) => {
  const more = [
    service('default/none', '10.96.0.21'),
    service('default/headless', '10.96.0.22', { clusterIps: [], headless: true }),
    pod('default/job', 'minikube', ['10.88.0.40'], { phase: 'Succeeded' }),
    pod('default/young', 'minikube', [], { phase: 'Pending' }),
  ];
  const { explanation } = ask('frontend', to, more);
  expect(explanation).toMatchObject({ verdict: 'denied', how });
  expect(explanation.branches[0]?.steps.at(-1)?.reason).toContain(reason);
  expect(text('frontend', to, more)).toContain(reason);
});

test('a headless Service is its pods: each address with its share, the port as it was asked', () => {
  const more = [
    service('default/peers', '10.96.0.23', { clusterIps: [], headless: true }),
    endpoints('default/peers', ['10.88.0.26', '10.88.0.27'], 8080),
  ];
  const { explanation } = ask('frontend', 'svc/default/peers:80', more);
  expect(explanation.branches.map(({ probability, verdict }) => [probability, verdict])).toEqual([
    [0.5, 'denied'],
    [0.5, 'allowed'],
  ]);
});

test('a headless Service says what DNS answers, and that no port is translated', () => {
  const peers = service('default/peers', '10.96.0.23', { clusterIps: [], headless: true });
  const more = [
    { ...peers, ports: peers.ports.map((port) => ({ ...port, targetPort: 8080 })) },
    endpoints('default/peers', ['10.88.0.26'], 8080),
  ];
  const said =
    'Service default/peers is headless: it has no rules, DNS answers 10.88.0.26, and the client takes one of them; ' +
    'nothing translates port 80 to 8080, where the pods listen';
  expect(text('frontend', 'svc/default/peers:80', more)).toContain(`\n${said}\n`);
  const [first] = ask('frontend', 'svc/default/peers:80', more).explanation.branches[0]?.steps ?? [];
  expect(first).toMatchObject({ action: 'DNS', object: 'Service default/peers', reason: said });
});

test('an ExternalName is followed within the cluster; beyond it only DNS knows', () => {
  const alias = (name: string, externalName: string) =>
    service(`default/${name}`, '10.96.0.23', { type: 'ExternalName', clusterIps: [], externalName });
  const more = [
    alias('database', 'peers.default.svc.cluster.local'),
    service('default/peers', '10.96.0.24', { clusterIps: [], headless: true }),
    endpoints('default/peers', ['10.88.0.27'], 80),
    alias('bank', 'bank.example.com'),
  ];
  const inside = ask('frontend', 'svc/default/database:80', more).explanation;
  expect(inside.verdict).toBe('allowed');
  expect(inside.branches[0]?.steps.slice(0, 2).map(({ action, object }) => [action, object])).toEqual([
    ['DNS', 'Service default/database'],
    ['DNS', 'Service default/peers'],
  ]);
  const beyond = ask('frontend', 'svc/default/bank:80', more).explanation;
  expect(beyond).toMatchObject({ verdict: 'denied', how: 'unknown-address' });
  expect(beyond.branches[0]?.steps.map(({ reason }) => reason)).toEqual([
    'Service default/bank is an ExternalName: it has no rules, DNS answers with the name bank.example.com',
    'only DNS knows the address behind bank.example.com: ask for an address in the place of Service default/bank',
  ]);
});

test('a ClusterIP means nothing outside; the answer names what does', () => {
  const plain = service('default/web', '10.96.0.25');
  const more = [
    {
      ...plain,
      type: 'NodePort' as const,
      externalIps: [ip('198.51.100.9')],
      ports: plain.ports.map((port) => ({ ...port, nodePort: 30_080 })),
    },
    endpoints('default/web', ['10.88.0.27'], 80),
  ];
  const { explanation } = ask('outside', 'svc/default/web:80', more);
  expect(explanation).toMatchObject({ verdict: 'denied', how: 'unknown-address' });
  expect(explanation.branches[0]?.steps.at(-1)?.reason).toBe(
    '10.96.0.25 is the ClusterIP of Service default/web: outside the cluster nobody has a route to it; ' +
      'ask for 198.51.100.9:80 or node/NAME:30080',
  );
  expect(ask('outside', '198.51.100.9:80', more).explanation.verdict).toBe('allowed');
});

test('a pod reaches itself without a packet, and through a Service without a policy', () => {
  const own = explainOnly('db', 'db:80');
  expect(own.branches[0]?.steps).toEqual([
    { action: 'delivered', reason: "10.88.0.26 is the pod's own address: the packet never leaves it" },
  ]);
  const more = [service('default/db', '10.96.0.24'), endpoints('default/db', ['10.88.0.26'], 80)];
  const { explanation } = ask('db', 'svc/default/db:80', more);
  expect(explanation.verdict).toBe('allowed');
  expect(explanation.branches[0]?.steps.map(({ action }) => action)).toContain('MASQUERADE');
});

test('the node reaches its pods, whatever isolates them', () => {
  expect(explainOnly('node/minikube', 'db:80').verdict).toBe('allowed');
});

test('colours come from the caller', () => {
  const { model, question } = ask('frontend', 'db:80');
  const paint = { good: String, bad: (own: string) => `<${own}>`, strong: String, faint: String };
  expect(renderExplanation(model, investigate(model, question), { paint })).toContain(
    '<DENIED (the connection times out)>',
  );
});

test('verbose shows every rule that matched', () => {
  const { model, question } = ask('frontend', 'db:80');
  const investigation = investigate(model, question);
  const [short, long] = [false, true].map((verbose) => renderExplanation(model, investigation, { verbose }));
  expect(short).not.toContain('cali-PREROUTING');
  expect(long).toContain('cali-PREROUTING 1');
});

function explainOnly(from: string, to: string) {
  return ask(from, to).explanation;
}

function block(cidr: string) {
  const [address = '', length = '32'] = cidr.split('/');
  return { family: 'ipv4', address: ip(address), prefixLength: Number(length) } as const;
}
