/** What stays during a soak: three nodes, and the flows that must be allowed or denied all the time. */

export const nodeNames = ['node-a', 'node-b', 'node-c'] as const;

/** `server` on node-a takes `friend` alone; `friend` and `mallory` are on other nodes; `marker` only carries a label. */
export const fixedManifests = [
  ...nodeNames.map((name, index) => nodeText(name, index)),
  podText('server', 'node-a', true),
  podText('friend', 'node-b', false),
  podText('mallory', 'node-c', false),
  podText('neighbour', 'node-a', false),
  `apiVersion: v1
kind: Service
metadata: { name: server, namespace: fixed }
spec: { selector: { app: server }, clusterIP: 10.96.0.80, ports: [{ port: 80 }] }
`,
  policyText('server', 'server', '{ podSelector: { matchLabels: { app: friend } } }'),
  ...['server', 'friend', 'mallory'].map((pod) =>
    policyText(`marked-${pod}`, pod, '{ podSelector: { matchLabels: { marked: "yes" } } }'),
  ),
].join('---\n');

/** Its address enters a set on every node when it is marked, and leaves it when it is not. */
export function markerText(isMarked: boolean, round: number): string {
  return podText('marker', 'node-b', false, `, marked: "${isMarked ? 'yes' : 'no'}", round: "${round}"`);
}

function nodeText(name: string, index: number): string {
  return `apiVersion: v1
kind: Node
metadata: { name: ${name} }
spec: { podCIDRs: [10.88.${index}.0/24, "fd00:10:88:${index}::/64"] }
status: { addresses: [{ type: InternalIP, address: 172.31.255.${11 + index} }, { type: InternalIP, address: "fd00:172:31:255::${11 + index}" }] }
`;
}

function podText(name: string, node: string, hasServer: boolean, more = ''): string {
  const ports = hasServer ? ', ports: [{ containerPort: 80 }]' : '';
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: fixed, labels: { app: ${name}${more} } }
spec: { nodeName: ${node}, containers: [{ name: main, image: none${ports} }] }
`;
}

function policyText(name: string, app: string, peer: string): string {
  return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ${name}, namespace: fixed }
spec: { podSelector: { matchLabels: { app: ${app} } }, ingress: [{ from: [${peer}] }] }
`;
}
