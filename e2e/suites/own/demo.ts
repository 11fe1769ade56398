/** The demo of "Life of a Packet in Kubernetes", part 3, on a real cluster of two nodes: frontend, backend and db, and the seed's policy. */
import { join } from 'node:path';
import { CommandError } from '../../../src/backends/exec.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { until } from '../../cluster/until.ts';
import type { Place } from './run-cases.ts';

export const demoNamespace = 'seed';

const policyFolder = join(import.meta.dirname, '..', '..', '..', 'examples', 'seed', 'policy');

interface DemoPod {
  readonly name: string;
  readonly app: string;
  /** Index of its node. */
  readonly node: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Clients on both nodes, so that every way to the database is one of the same node or between two. */
const pods: readonly DemoPod[] = [
  { name: 'frontend', app: 'frontend', node: 0 },
  { name: 'frontend-far', app: 'frontend', node: 1 },
  { name: 'backend', app: 'backend', node: 0, labels: { 'networking/allow-db-access': 'true' } },
  { name: 'db', app: 'db', node: 1 },
];

export interface Way {
  readonly from: string;
  readonly to: string;
  readonly expect: 'allowed' | 'denied';
}

/** What the policy leaves and takes. */
export const ways: readonly Way[] = [
  { from: 'frontend', to: 'backend', expect: 'allowed' },
  { from: 'backend', to: 'db', expect: 'allowed' },
  { from: 'frontend', to: 'db', expect: 'denied' },
  { from: 'frontend-far', to: 'db', expect: 'denied' },
];

type DemoPlace = Pick<Place, 'kubectl' | 'topology'>;

/** Makes the pods and Services; returns when every pod is ready. A cluster of one node has all of them there. */
export async function startDemo({ kubectl, topology }: DemoPlace): Promise<void> {
  const nodeNames = topology.nodes.map(({ name }) => name);
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: demoNamespace } },
    ...pods.map((pod) => podObject(pod, nodeNames[pod.node] ?? nodeNames[0] ?? '')),
    ...['frontend', 'backend', 'db'].map((app) => serviceObject(app)),
  ];
  await kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await kubectl([...inDemo, 'wait', '--for=condition=Ready', 'pods', '--all', '--timeout=120s']);
}

export async function applyDemoPolicy({ kubectl }: Pick<Cluster, 'kubectl'>): Promise<void> {
  await kubectl([...inDemo, 'apply', '-f', policyFolder]);
}

export async function deleteDemo({ kubectl }: Pick<Cluster, 'kubectl'>): Promise<void> {
  await kubectl(['delete', 'namespace', demoNamespace, '--ignore-not-found', '--wait', '--timeout=120s']);
}

/** Any case may be run alone. */
export async function demoWithPolicy(cluster: DemoPlace): Promise<void> {
  await startDemo(cluster);
  await applyDemoPolicy(cluster);
  await expectWays(cluster);
}

/** Waits until each way is as expected, by curl in the client's pod to the Service's name; throws with what is not. */
export async function expectWays(cluster: Pick<Cluster, 'kubectl'>, expected: readonly Way[] = ways): Promise<void> {
  for (const { from, to, expect } of expected) {
    const isSo = async (): Promise<boolean> => (await reaches(cluster, from, to)) === (expect === 'allowed');
    await until(`${from} to ${to} to be ${expect}`, isSo, { timeoutMs: 60_000, everyMs: 100 });
  }
}

/** A Service that is made now, for the backend, answers by its name. */
export async function newServiceAnswers(cluster: Pick<Cluster, 'kubectl'>, name: string): Promise<void> {
  await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(serviceObject('backend', name)));
  const answers = async (): Promise<boolean> => (await answerOf(cluster, 'frontend', name)) === 'backend';
  await until(`Service ${name} to answer`, answers, { timeoutMs: 60_000 });
}

/** A pod's address, node and the id of its container. */
export async function placeOf(
  { kubectl }: Pick<Cluster, 'kubectl'>,
  pod: string,
): Promise<{ readonly address: string; readonly node: string; readonly container: string }> {
  const path = '{.status.podIP} {.spec.nodeName} {.status.containerStatuses[0].containerID}';
  const answer = await kubectl([...inDemo, 'get', 'pod', pod, `-o=jsonpath=${path}`]);
  const [address = '', node = '', container = ''] = answer.split(' ');
  return { address, node, container: container.replace('containerd://', '') };
}

export async function serviceAddress({ kubectl }: Pick<Cluster, 'kubectl'>, service: string): Promise<string> {
  return kubectl([...inDemo, 'get', 'service', service, '-o=jsonpath={.spec.clusterIP}']);
}

const inDemo = ['-n', demoNamespace] as const;

async function reaches(cluster: Pick<Cluster, 'kubectl'>, from: string, to: string): Promise<boolean> {
  return (await answerOf(cluster, from, to)) === to;
}

/** The name of the pod that answers; undefined: none does. */
async function answerOf({ kubectl }: Pick<Cluster, 'kubectl'>, from: string, to: string): Promise<string | undefined> {
  try {
    const ask = ['curl', '--silent', '--max-time', '3', `http://${to}/hostname`];
    return await kubectl([...inDemo, 'exec', from, '--', ...ask]);
  } catch (error) {
    // curl's exit codes for a connection that is refused, and for one that gets no answer.
    if (error instanceof CommandError && /exit code (7|28)\b/.test(error.stderr)) return undefined;
    throw error;
  }
}

function podObject({ name, app, labels = {} }: DemoPod, nodeName: string): object {
  const container = {
    name: app,
    image: 'registry.k8s.io/e2e-test-images/agnhost:2.63.0',
    args: ['netexec', '--http-port=80', '--udp-port=80'],
    // Once ready, always ready: on a machine that is too busy to answer in time, a Service without endpoints would refuse.
    readinessProbe: {
      httpGet: { path: '/hostname', port: 80 },
      periodSeconds: 1,
      timeoutSeconds: 10,
      failureThreshold: 60,
    },
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: demoNamespace, labels: { app, ...labels } },
    spec: { nodeName, containers: [container], terminationGracePeriodSeconds: 0 },
  };
}

function serviceObject(app: string, name = app): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: demoNamespace },
    spec: { selector: { app }, ports: [{ port: 80 }] },
  };
}
