/** What explain tells somebody who does not know the chains about Services. */
import { describe, expect, test } from 'vitest';
import type { ClusterObject, Endpoint, Service } from '../../src/cluster/objects.ts';
import { explain } from '../../src/explain/explain.ts';
import { investigate } from '../../src/explain/investigate.ts';
import { parseQuestion } from '../../src/explain/question.ts';
import { renderExplanation } from '../../src/explain/render-text.ts';
import type { ServiceOptions } from '../../src/service/options.ts';
import { cidr } from '../service/fixtures.ts';
import { clusterOf, endpoints, ip, node, pod, policy, service } from './cluster-fixture.ts';

const objects: readonly ClusterObject[] = [
  node('a', ['192.0.2.1'], ['10.88.0.0/24']),
  node('b', ['192.0.2.2', 'fd00:172::2'], ['10.88.1.0/24']),
  pod('demo/web', 'a', ['10.88.0.10']),
  pod('demo/api', 'b', ['10.88.1.10']),
  pod('demo/client', 'b', ['10.88.1.20']),
];

interface Choice {
  readonly more?: readonly ClusterObject[];
  readonly services?: Partial<ServiceOptions>;
}

function text(from: string, to: string, { more = [], services }: Choice = {}): string {
  const own: ServiceOptions = {
    nodeName: 'a',
    detector: { kind: 'localPods' },
    masqueradeAll: false,
    nodePortAddresses: [],
    localhostNodePorts: true,
    nodeAddresses: [],
    conntrackLiberal: false,
    ...services,
  };
  const model = clusterOf([...objects, ...more], services === undefined ? {} : { services: own });
  const question = parseQuestion(from, to, { state: model.state, namespace: 'demo' });
  if (!question.ok) return question.message;
  return renderExplanation(model, investigate(model, question.value));
}

function web(more: Partial<Service> = {}, addresses = ['10.88.0.10', '10.88.1.10']): readonly ClusterObject[] {
  return [service('demo/web', '10.96.0.1', more), endpoints('demo/web', addresses)];
}

/** Every endpoint made into another. */
function webWith(
  more: Partial<Service>,
  change: (endpoint: Endpoint, index: number) => Endpoint,
): readonly ClusterObject[] {
  return web(more).map((object) =>
    object.kind === 'EndpointSlice' ? { ...object, endpoints: object.endpoints.map(change) } : object,
  );
}

const nodePort = (number: number) => [
  { name: '', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: number } as const,
];

describe('a Service that is not served where it is asked', () => {
  test('another proxy has it: its ports are not denied', () => {
    const more = web({ labels: { 'service.kubernetes.io/service-proxy-name': 'theirs' } });
    const said = text('client', 'svc/web:80', { more });
    expect(said).toContain(
      'DENIED (nobody is there): Service demo/web is served by another proxy, "theirs" (its label service.kubernetes.io/service-proxy-name)\n',
    );
    expect(said).not.toContain('has no port');
  });

  test('a port that it does not have', () => {
    expect(text('client', 'svc/web:81', { more: web() })).toContain(
      'Service demo/web has no port 81/TCP at 10.96.0.1: its ports are 80/TCP\n',
    );
  });

  test('an address of a family that it has none of', () => {
    const more = web({ externalIps: [ip('2001:db8::5')] });
    expect(text('node/b', '[2001:db8::5]:80', { more })).toContain(
      'DENIED (nobody is there): 2001:db8::5 is not served: Service demo/web has no IPv6 address of its own\n',
    );
  });

  test('a balancer that keeps its address for itself', () => {
    const ingress = { ip: ip('203.0.113.12'), ipMode: 'Proxy' } as const;
    const more = web({ type: 'LoadBalancer', loadBalancerIngress: [ingress], ports: nodePort(30_084) });
    const words =
      '203.0.113.12 is the load balancer of Service demo/web itself (ipMode Proxy): nodes have no rules for it, it sends to node/NAME:30084\n';
    expect(text('outside', '203.0.113.12:80', { more })).toContain(`DENIED (nobody is there): ${words}`);
    expect(text('client', '203.0.113.12:80', { more })).toContain(`which sees the client as 10.88.1.20; ${words}`);
  });

  test.each<[string, string, Choice['services'], string]>([
    [
      'nodePortAddresses',
      '192.0.2.2',
      { nodePortAddresses: [cidr('192.0.2.1/32')] },
      'nodePortAddresses leaves the address out',
    ],
    ['another family', '[fd00:172::2]', {}, 'the Service has no IPv6 address'],
    ['localhost', '127.0.0.1', { localhostNodePorts: false }, 'nodePorts do not answer on 127.0.0.1 here'],
  ])('a nodePort that this address does not have: %s', (_, address, services = {}, why) => {
    const said = text('node/b', `${address}:30080`, {
      more: web({ type: 'NodePort', ports: nodePort(30_080) }),
      services,
    });
    expect(said).toContain(
      `DENIED (nobody is there): ${address}:30080 is not served, though Service demo/web has that nodePort: ${why}\n`,
    );
  });

  test('the port of the health check', () => {
    const more = web({ type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 });
    expect(text('outside', 'node/a:32000', { more })).toContain(
      '; the health check of Service demo/web answers there\n',
    );
  });
});

test.each([
  ['client', '10.96.0.300:80', '"10.96.0.300" is not an IP address: expected one such as 10.0.0.1 or [fd00::1]'],
  ['client', '[fd00::zz]:80', '"[fd00::zz]" is not an IP address: expected one such as 10.0.0.1 or [fd00::1]'],
  ['client', '[fd00::1]:80', 'DENIED (nobody is there): pod demo/client has no IPv6 address to send from\n'],
  ['fd00::1', 'svc/web:80', 'DENIED (nobody is there): fd00::1 cannot send to an IPv4 address\n'],
])('%s to %s', (from, to, said) => {
  expect(text(from, to, { more: web() })).toContain(said);
});

describe('the endpoints of a connection', () => {
  test('session affinity: the choice is for a client, and how long it is kept', () => {
    expect(text('client', 'svc/web:80', { more: web({ sessionAffinitySeconds: 60 }) })).toContain(
      `One of 2 endpoints is chosen for each client, which keeps it while its connections begin within 60 s of each other (sessionAffinity ClientIP):
   50.0%  10.88.0.10:8080  demo/web  allowed
   50.0%  10.88.1.10:8080  demo/api  allowed
`,
    );
  });

  test('those that nobody gets from here, and why', () => {
    const more = webWith({}, (one, index) => (index === 0 ? { ...one, ready: false, pod: 'demo/web' } : one));
    expect(text('client', 'svc/web:80', { more })).toContain(`
Endpoints not used on b:
  10.88.0.10:8080  demo/web  it is not ready

node b
`);
    const local = webWith(
      { type: 'NodePort', externalTrafficPolicy: 'Local', ports: nodePort(30_080) },
      (one, index) => ({ ...one, nodeName: index === 0 ? 'a' : 'b' }),
    );
    expect(text('outside', 'node/b:30080', { more: local })).toContain(
      'Endpoints not used on b:\n  10.88.0.10:8080  it is on another node\n',
    );
    expect(text('client', 'svc/web:80', { more: local })).not.toContain('not used');
  });

  test('of a thousand each has its share, those that are refused come first, and the others are counted', () => {
    const many = Array.from({ length: 998 }, (_, index) => `198.18.${Math.floor(index / 250)}.${(index % 250) + 1}`);
    const more = [policy('demo/api', { app: 'api' }), ...web({}, ['10.88.0.10', '10.88.1.10', ...many])];
    const lines = text('client', 'svc/web:80', { more }).split('\n');
    const [title, first, ...others] = lines.slice(2, 24);
    expect(title).toBe('One of 1000 endpoints is chosen for each connection:');
    expect(first).toMatch(/^ {3}0\.10% {2}10\.88\.1\.10:8080 +demo\/api +denied$/);
    expect(others.slice(0, -1).filter((line) => / 0\.10% .* allowed$/.test(line))).toHaveLength(19);
    expect(others.at(-1)).toBe('  and 980 more: all allowed (--verbose lists them)');
  });
});

describe('a refusal names what it depends on', () => {
  const closed = policy('demo/web', { app: 'web' });

  test('policies see the endpoint, on whatever node it is', () => {
    expect(text('client', 'svc/web:80', { more: [closed, ...web({}, ['10.88.0.10'])] })).toContain(
      'Policies see the endpoint 10.88.0.10:8080, not the address 10.96.0.1:80 that was asked for.\n',
    );
  });

  test('and a client that its entry node hides', () => {
    const more = [closed, ...web({ type: 'NodePort', ports: nodePort(30_080) }, ['10.88.0.10'])];
    expect(text('outside', 'node/b:30080', { more })).toContain(
      "Policies see the client as 192.0.2.2, not as 172.31.254.2: node b hides it, as externalTrafficPolicy Cluster does; Local keeps the client's address.\n",
    );
  });

  test('no endpoint can be used: each, and why', () => {
    const more = webWith({}, (one, index) => {
      return { ...one, ready: false, serving: false, terminating: index === 1, pod: 'demo/web' };
    });
    expect(text('client', 'svc/web:80', { more })).toContain(`
Service demo/web has no endpoint that can be used:
  10.88.0.10:8080  demo/web  it is not ready
  10.88.1.10:8080  demo/web  it terminates, and serves no more
`);
  });

  test('none is on the node: where they are', () => {
    const local = { type: 'NodePort', ports: nodePort(30_080), externalTrafficPolicy: 'Local' } as const;
    const more = webWith(local, (one) => ({ ...one, nodeName: 'a' }));
    expect(text('outside', 'node/b:30080', { more })).toContain(`
Service demo/web has no endpoint that can be used on b:
  10.88.0.10:8080  it is on a
  10.88.1.10:8080  it is on a
`);
  });

  test('there are none at all', () => {
    const alone = (more: Partial<Service>) =>
      text('client', 'svc/web:80', { more: [service('demo/web', '10.96.0.1', more)] });
    expect(alone({})).toContain(
      '\nService demo/web has no endpoints: it has no selector, and no EndpointSlice names it\n',
    );
    expect(alone({ selector: { app: 'nobody' } })).toContain(
      '\nService demo/web has no endpoints: its selector app=nobody selects no pod of namespace demo\n',
    );
    const named = [{ name: '', protocol: 'TCP', port: 80, targetPort: 'http', nodePort: 0 } as const];
    expect(alone({ selector: { app: 'web' }, ports: named })).toContain(
      '  10.88.0.10  demo/web  it has no TCP port called http\n',
    );
  });
});

test('where the Service was written is said once to people, and in every step to programs', () => {
  const location = { file: 'web.yaml', line: 1, lines: new Map([['spec.ports[0]', 6]]) };
  const said = text('client', 'svc/web:80', { more: web({ location }, ['10.88.0.10']) });
  expect(said.match(/Service demo\/web spec\.ports\[0\], web\.yaml:6/g)).toHaveLength(1);
  expect(said.match(/Service demo\/web spec\.ports\[0\]/g)).toHaveLength(3);
  const model = clusterOf([...objects, ...web({ location }, ['10.88.0.10'])]);
  const question = parseQuestion('client', 'svc/web:80', { state: model.state, namespace: 'demo' });
  if (!question.ok) throw new Error(question.message);
  const steps = explain(model, question.value).branches[0]?.steps.filter(({ object }) => object === 'Service demo/web');
  expect(steps).toHaveLength(3);
  for (const step of steps ?? []) expect(step).toMatchObject({ path: 'spec.ports[0]', file: 'web.yaml', line: 6 });
});
