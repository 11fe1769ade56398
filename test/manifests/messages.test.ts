import { expect, test } from 'vitest';
import { messages } from './read.ts';

const policyHead = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {}
`;
const isolated = (directions: string) =>
  `a.yaml:1: warning: NetworkPolicy default/db isolates the pods it selects (${directions}) and allows nothing until its errors are mended`;
const leftOut =
  'a.yaml:1: NetworkPolicy default/db is left out and isolates nothing: which pods it selects cannot be read';

/** YAML of one rule's `ports`, and the message about it. */
test.each([
  ['port: 70000', 'port: 70000 is not a port, expected 1-65535 or a port name'],
  ['port: 0', 'port: 0 is not a port, expected 1-65535 or a port name'],
  ['port: 80.5', 'port: 80.5 is not a port, expected 1-65535 or a port name'],
  ['port: "80"', 'port: "80" is a string, expected the number without quotes'],
  [
    'port: Http',
    'port: "Http" is not a port name, expected at most 15 lower-case letters, digits or "-", with a letter, no "-" at an end or doubled',
  ],
  ['port: [80]', 'port: is a list, expected 1-65535 or a port name'],
  ['port: true', 'port: true is a boolean, expected 1-65535 or a port name'],
  ['port: {}', 'port: is a map, expected 1-65535 or a port name'],
  ['{port: 90, endPort: 80}', 'endPort: 80 is below port, expected 90-65535'],
  ['{port: 90, endPort: 65536}', 'endPort: 65536 is not a port, expected 1-65535'],
  ['{port: http, endPort: 80}', 'endPort: set beside a port name, expected a number in port'],
  ['endPort: 80', 'endPort: set without port, expected the first port of the range in port'],
  ['protocol: tcp', 'protocol: "tcp", expected TCP, UDP or SCTP'],
  ['protocol: 6', 'protocol: 6 is a number, expected a string: write "6" in quotes'],
  ['{port: 80, prot: UDP}', 'prot: unknown field, expected protocol, port or endPort'],
  ['{port: 80, Protocol: UDP}', 'Protocol: unknown field, did you mean protocol?'],
])('policy port %s', (port, message) => {
  expect(messages(`${policyHead}  ingress:\n    - ports:\n        - ${port}\n`)).toEqual([
    `a.yaml:8: spec.ingress[0].ports[0].${message}`,
    isolated('ingress'),
  ]);
});

test.each([
  ['', 'empty, expected a map of fields (write {} where none is to be set)'],
  ['{}', 'no peer, expected podSelector, namespaceSelector or ipBlock'],
  ['podSelector:', 'no peer, expected podSelector, namespaceSelector or ipBlock'],
  ['default', '"default" is a string, expected a map of fields'],
])('policy peer %j', (peer, message) => {
  expect(messages(`${policyHead}  ingress:\n    - from:\n        - ${peer}\n`)).toEqual([
    `a.yaml:8: spec.ingress[0].from[0]: ${message}`,
    isolated('ingress'),
  ]);
});

test.each([
  ['podSelectr: {}', 'podSelectr: unknown field, did you mean podSelector?'],
  ['podSelector: []', 'podSelector: is a list, expected a map of fields'],
  ['podSelector: {app: db}', 'podSelector.app: unknown field, expected matchLabels or matchExpressions'],
  [
    'podSelector: {matchLabels: {app: true}}',
    'podSelector.matchLabels.app: true is a boolean, expected a string: write "true" in quotes',
  ],
  [
    'podSelector: {matchLabels: {app: yes}}',
    'podSelector.matchLabels.app: yes is a boolean to Kubernetes, expected a string: write "yes" in quotes',
  ],
  [
    'podSelector: {matchLabels: {app: a b}}',
    'podSelector.matchLabels.app: "a b" is not a label value, expected at most 63 letters, digits, "-", "_" or ".", first and last a letter or digit, or nothing',
  ],
  [
    'podSelector: {matchLabels: {a/b/c: x}}',
    'podSelector.matchLabels.a/b/c: "a/b/c" is not a label key, expected an optional DNS prefix and "/", then at most 63 letters, digits, "-", "_" or ".", first and last a letter or digit',
  ],
  [
    'podSelector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}',
    'podSelector.matchExpressions[0].operator: "Equals", expected In, NotIn, Exists or DoesNotExist',
  ],
  [
    'podSelector: {matchExpressions: [{key: a, operator: In}]}',
    'podSelector.matchExpressions[0].values: empty, expected at least one value for In',
  ],
  [
    'podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}',
    'podSelector.matchExpressions[0].values: not empty, expected no values for Exists',
  ],
  [
    'podSelector: {matchExpressions: [{operator: Exists}]}',
    'podSelector.matchExpressions[0].key: missing, expected a label key',
  ],
  ['ipBlock: {}', 'ipBlock.cidr: missing, expected a CIDR such as 10.0.0.0/8'],
  ['ipBlock: {cidr: 10.0.0.1}', 'ipBlock.cidr: 10.0.0.1 is an address, expected a CIDR: write 10.0.0.1/32'],
  ['ipBlock: {cidr: fd00::1}', 'ipBlock.cidr: fd00::1 is an address, expected a CIDR: write fd00::1/128'],
  [
    'ipBlock: {cidr: 10.0.0.0/33}',
    'ipBlock.cidr: "10.0.0.0/33" is not a CIDR, expected one such as 10.0.0.0/8 or fd00::/8',
  ],
  [
    'ipBlock: {cidr: 010.0.0.0/8}',
    'ipBlock.cidr: "010.0.0.0/8" is not a CIDR, expected one such as 10.0.0.0/8 or fd00::/8',
  ],
  [
    'ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}',
    'ipBlock.except[0]: 11.0.0.0/16 is not inside of 10.0.0.0/8, expected a smaller part of it',
  ],
  [
    'ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}',
    'ipBlock.except[0]: 10.0.0.0/8 is not inside of 10.0.0.0/8, expected a smaller part of it',
  ],
  [
    'ipBlock: {cidr: 10.0.0.0/8, except: ["fd00::/16"]}',
    'ipBlock.except[0]: fd00::/16 is not inside of 10.0.0.0/8, expected a smaller part of it',
  ],
  [
    '{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}',
    'ipBlock: stands beside a selector, expected an ipBlock alone in its peer',
  ],
])('policy peer %s', (peer, message) => {
  expect(messages(`${policyHead}  ingress:\n    - from:\n        - ${peer}\n`)).toEqual([
    `a.yaml:8: spec.ingress[0].from[0].${message}`,
    isolated('ingress'),
  ]);
});

test.each([
  [
    'policyTypes: Ingress',
    'policyTypes: "Ingress" is a string, expected a list (each item after a "-")',
    'ingress and egress',
  ],
  ['policyTypes: [ingress]', 'policyTypes[0]: "ingress", expected Ingress or Egress', 'ingress and egress'],
  [
    'policyTypes: [Ingress, Egress, Egress]',
    'policyTypes: 3 entries, expected at most Ingress and Egress',
    'ingress and egress',
  ],
  ['policyType: [Egress]', 'policyType: unknown field, did you mean policyTypes?', 'ingress and egress'],
  ['egress: {}', 'egress: is a map, expected a list (each item after a "-")', 'ingress and egress'],
  ['ingress: [{to: []}]', 'ingress[0].to: unknown field, expected from or ports', 'ingress'],
  ['ingress: [null]', 'ingress[0]: empty, expected a map of fields (write {} where none is to be set)', 'ingress'],
  ['egress: [{from: []}]', 'egress[0].from: unknown field, expected to or ports', 'ingress and egress'],
])('policy spec %s', (line, message, directions) => {
  expect(messages(`${policyHead}  ${line}\n`)).toEqual([`a.yaml:6: spec.${message}`, isolated(directions)]);
});

test.each([
  [
    'spec: {podSelector: {matchLabels: {a: 1}}}',
    'spec.podSelector.matchLabels.a: 1 is a number, expected a string: write "1" in quotes',
  ],
  ['spec: {podSelector: all}', 'spec.podSelector: "all" is a string, expected a map of fields'],
  ['spec: {podSelectr: {}}', 'spec.podSelectr: unknown field, did you mean podSelector?'],
  ['spec: everything', 'spec: "everything" is a string, expected a map of fields'],
  ['specs: {}', 'specs: unknown field, did you mean spec?'],
])('policy whose selector cannot be read: %s', (line, message) => {
  const text = `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db}\n${line}\n`;
  expect(messages(text)).toEqual([`a.yaml:4: ${message}`, leftOut]);
});

/** Three lines each. */
const heads = {
  Pod: 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n',
  Service: 'apiVersion: v1\nkind: Service\nmetadata: {name: a}\n',
  EndpointSlice:
    'apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: a}}\n',
  Node: 'apiVersion: v1\nkind: Node\nmetadata: {name: a}\n',
  Deployment: 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n',
  ServiceCIDR: 'apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: a}\n',
};

/** One line after a head of three: every message is about line 4. */
test.each<[keyof typeof heads, string, string]>([
  ['Pod', 'spec: {hostNetwork: 1}', 'spec.hostNetwork: 1 is a number, expected true or false'],
  ['Pod', 'spec: {containers: {}}', 'spec.containers: is a map, expected a list (each item after a "-")'],
  [
    'Pod',
    'spec: {containers: [{ports: [{}]}]}',
    'spec.containers[0].ports[0].containerPort: missing, expected 1-65535',
  ],
  [
    'Pod',
    'spec: {containers: [{ports: [{containerPort: x}]}]}',
    'spec.containers[0].ports[0].containerPort: "x" is a string, expected a port, a number of 1-65535',
  ],
  [
    'Pod',
    'spec: {containers: [{ports: [{containerPort: 080}]}]}',
    'spec.containers[0].ports[0].containerPort: 080 is octal to Kubernetes, expected a number without a leading 0',
  ],
  [
    'Pod',
    'spec: {containers: [{ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}]}]}',
    'spec.containers[0].ports[1].name: "a" names another port of this container, expected a name of its own',
  ],
  [
    'Pod',
    'status: {phase: running}',
    'status.phase: "running", expected Pending, Running, Succeeded, Failed or Unknown',
  ],
  [
    'Pod',
    'status: {podIP: 10.0.0.300}',
    'status.podIP: "10.0.0.300" is not an IP address, expected one such as 10.0.0.1 or fd00::1',
  ],
  [
    'Pod',
    'status: {podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]}',
    'status.podIPs: two addresses of one family, expected one of each at most',
  ],
  ['Pod', 'spec: {hostnetwork: true}', 'spec.hostnetwork: warning: unknown field, did you mean hostNetwork?'],
  ['Service', 'spec: {}', 'spec.ports: missing, expected at least one port'],
  ['Service', 'spec: {ports: [{}]}', 'spec.ports[0].port: missing, expected 1-65535'],
  [
    'Service',
    'spec: {ports: [{port: 80}, {port: 81}]}',
    'spec.ports[0].name: missing, expected a name: there are several ports|spec.ports[1].name: missing, expected a name: there are several ports',
  ],
  [
    'Service',
    'spec: {ports: [{port: 80, name: a}, {port: 80, name: b}]}',
    'spec.ports[1].port: 80/TCP stands twice, expected once',
  ],
  [
    'Service',
    'spec: {ports: [{port: 80, name: a}, {port: 81, name: a}]}',
    'spec.ports[1].name: "a" names another port too, expected a name of its own',
  ],
  [
    'Service',
    'spec: {ports: [{port: 80, nodePort: 30000}]}',
    'spec.ports[0].nodePort: set for type ClusterIP, expected only with NodePort or LoadBalancer',
  ],
  [
    'Service',
    'spec: {clusterIP: "fd00::1", ipFamilies: [IPv4], ports: [{port: 80}]}',
    'spec.clusterIP: fd00::1 is not an IPv4 address, expected one as spec.ipFamilies[0] says',
  ],
  [
    'Service',
    'spec: {clusterIP: 10.96.0.9, ipFamilies: [IPv6], ipFamilyPolicy: SingleStack, ports: [{port: 80}]}',
    'spec.clusterIP: 10.96.0.9 is not an IPv6 address, expected one as spec.ipFamilies[0] says',
  ],
  [
    'Service',
    'spec: {clusterIPs: [10.96.0.9, "fd00::1"], ipFamilies: [IPv6, IPv4], ports: [{port: 80}]}',
    'spec.clusterIPs[0]: 10.96.0.9 is not an IPv6 address, expected one as spec.ipFamilies[0] says|spec.clusterIPs[1]: fd00::1 is not an IPv4 address, expected one as spec.ipFamilies[1] says',
  ],
  [
    'Service',
    'spec: {clusterIPs: [10.96.0.9, "fd00::1"], ipFamilyPolicy: SingleStack, ports: [{port: 80}]}',
    'spec.ipFamilyPolicy: SingleStack, but clusterIPs has two families, expected PreferDualStack or RequireDualStack',
  ],
  [
    'Service',
    'spec: {ipFamilies: [IPv4, IPv6], ipFamilyPolicy: SingleStack, ports: [{port: 80}]}',
    'spec.ipFamilyPolicy: SingleStack, but ipFamilies has two families, expected PreferDualStack or RequireDualStack',
  ],
  [
    'Service',
    'spec: {clusterIP: 10.96.0.9, clusterIPs: [10.96.0.8], ports: [{port: 80}]}',
    'spec.clusterIPs[0]: "10.96.0.8" is not spec.clusterIP, expected the same address first',
  ],
  [
    'Service',
    'spec: {type: NodePort, ports: [{port: 80, nodePort: 22}]}',
    "spec.ports[0].nodePort: warning: 22 is outside an API server's default range, expected 30000-32767",
  ],
  [
    'Service',
    'spec: {type: NodePort, ports: [{port: 80, nodePort: 32768}]}',
    "spec.ports[0].nodePort: warning: 32768 is outside an API server's default range, expected 30000-32767",
  ],
  [
    'Service',
    'spec: {type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 443, ports: [{port: 80}]}',
    "spec.healthCheckNodePort: warning: 443 is outside an API server's default range, expected 30000-32767",
  ],
  [
    'Service',
    'spec: {type: Nodeport, ports: [{port: 80}]}',
    'spec.type: "Nodeport", expected ClusterIP, NodePort, LoadBalancer or ExternalName',
  ],
  ['Service', 'spec: {type: ExternalName}', 'spec.externalName: missing, expected a DNS name for type ExternalName'],
  [
    'Service',
    'spec: {type: NodePort, clusterIP: None, ports: [{port: 80}]}',
    'spec.clusterIP: None, expected an address for type NodePort',
  ],
  [
    'Service',
    'spec: {clusterIP: none, ports: [{port: 80}]}',
    'spec.clusterIP: "none" is not an IP address, expected one such as 10.0.0.1 or fd00::1',
  ],
  [
    'Service',
    'spec: {externalTrafficPolicy: Local, ports: [{port: 80}]}',
    'spec.externalTrafficPolicy: set for type ClusterIP, expected only with NodePort, LoadBalancer or externalIPs',
  ],
  [
    'Service',
    'spec: {externalIPs: [127.0.0.1], ports: [{port: 80}]}',
    'spec.externalIPs[0]: 127.0.0.1 is a loopback, link-local, multicast or unspecified address, expected a unicast one',
  ],
  [
    'Service',
    'spec: {sessionAffinity: Client, ports: [{port: 80}]}',
    'spec.sessionAffinity: "Client", expected None or ClientIP',
  ],
  [
    'Service',
    'spec: {healthCheckNodePort: 31000, ports: [{port: 80}]}',
    'spec.healthCheckNodePort: set, expected only with type LoadBalancer and externalTrafficPolicy Local',
  ],
  [
    'Service',
    'spec: {loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]}',
    'spec.loadBalancerSourceRanges: set for type ClusterIP, expected only with LoadBalancer',
  ],
  ['EndpointSlice', 'addressType: IPV4', 'addressType: "IPV4", expected IPv4, IPv6 or FQDN'],
  ['EndpointSlice', '{}', 'addressType: missing, expected IPv4, IPv6 or FQDN'],
  [
    'Node',
    'spec: {podCIDRs: [10.0.0.0/24, 10.0.1.0/24]}',
    'spec.podCIDRs: two CIDRs of one family, expected one of each at most',
  ],
  [
    'ServiceCIDR',
    'spec: {cidrs: [10.96.0.0/16, 10.97.0.0/16]}',
    'spec.cidrs: two CIDRs of one family, expected one of each at most',
  ],
  ['ServiceCIDR', 'spec: {cidrs: []}', 'spec.cidrs: missing, expected at least one CIDR'],
  [
    'ServiceCIDR',
    'spec: {cidrs: [10.96.0.1]}',
    'spec.cidrs[0]: 10.96.0.1 is an address, expected a CIDR: write 10.96.0.1/32',
  ],
  [
    'Deployment',
    'spec: {replicas: -1, selector: {}, template: {}}',
    'spec.replicas: -1 is not a number of replicas, expected 0-10000',
  ],
  ['Deployment', 'spec: {template: {}}', 'spec.selector: missing, expected a selector of the labels of the template'],
  [
    'Deployment',
    'spec: {selector: {matchLabels: {a: b}}, template: {}}',
    'spec.selector: does not select the labels of spec.template, expected it to',
  ],
])('%s with %s', (kind, line, expected) => {
  const text = line === '{}' ? heads[kind] : `${heads[kind]}${line}\n`;
  const at = line === '{}' ? 1 : 4;
  expect(messages(text)).toEqual(expected.split('|').map((message) => `a.yaml:${at}: ${message}`));
});

test.each([
  ['{}', 'metadata.name: missing, expected a name'],
  [
    '{name: A}',
    'metadata.name: "A" is not a name, expected lower-case letters, digits, "-" and ".", at most 253, first and last a letter or digit',
  ],
  ['{name: 1}', 'metadata.name: 1 is a number, expected a string: write "1" in quotes'],
  [
    '{name: a, namespace: a.b}',
    'metadata.namespace: "a.b" is not a namespace, expected lower-case letters, digits and "-", at most 63, first and last a letter or digit',
  ],
  [
    '{name: a, creationTimestamp: yesterday}',
    'metadata.creationTimestamp: "yesterday" is not a timestamp, expected one such as "2026-01-31T12:00:00Z"',
  ],
  ['{name: a, label: {}}', 'metadata.label: warning: unknown field, did you mean labels?'],
  ['[a]', 'metadata: is a list, expected a map of fields'],
  ['{name: a, name: b}', 'metadata.name: stands twice, expected once'],
])('metadata: %s', (metadata, message) => {
  expect(messages(`apiVersion: v1\nkind: Pod\nmetadata: ${metadata}\n`)).toEqual([`a.yaml:3: ${message}`]);
});

test.each([
  [
    'foo: bar',
    'a.yaml:1: kind: missing, expected Namespace, Node, Pod, Service, Deployment, EndpointSlice, NetworkPolicy or ServiceCIDR',
  ],
  ['kind: Pod\nmetadata: {name: a}', 'a.yaml:1: apiVersion: missing, expected v1'],
  ['kind: Foo', 'a.yaml:1: apiVersion: missing, expected the API group and version of the object'],
  [
    'apiVersion: v1\nkind: Pood',
    'a.yaml:2: kind: warning: unknown kind Pood of v1, expected Namespace, Node, Pod, Service, Deployment, EndpointSlice, NetworkPolicy, ServiceCIDR',
  ],
  [
    'apiVersion: networking.k8s.io/v1\nkind: NetworkPolcy',
    'a.yaml:2: kind: unknown kind NetworkPolcy of networking.k8s.io/v1, expected Namespace, Node, Pod, Service, Deployment, EndpointSlice, NetworkPolicy, ServiceCIDR',
  ],
  [
    'apiVersion: apps/v1\nkind: StatefulSet',
    'a.yaml:2: kind: warning: StatefulSet is not read and its pods do not exist here, expected Pod or Deployment',
  ],
  [
    'apiVersion: projectcalico.org/v3\nkind: NetworkPolicy',
    'a.yaml:2: kind: warning: NetworkPolicy of projectcalico.org/v3 is not read, expected networking.k8s.io/v1',
  ],
  [
    'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy',
    'a.yaml:2: kind: warning: CiliumNetworkPolicy is not enforced, expected NetworkPolicy of networking.k8s.io/v1',
  ],
  [
    'apiVersion: v1\nkind: List\nitems: {apiVersion: v1}',
    'a.yaml:3: items: is a map, expected a list (each item after a "-")',
  ],
  ['apiVersion: v1\nkind: List\nitem: []', 'a.yaml:1: items: missing, expected a list of objects'],
  ['apiVersion: v1\nkind: List\nitems:', 'a.yaml:3: items: missing, expected a list of objects'],
  [
    'apiVersion: v1\nkind: PodList\nitems: none',
    'a.yaml:3: items: "none" is a string, expected a list (each item after a "-")',
  ],
  ['hello', 'a.yaml:1: "hello" is a string, expected an object with apiVersion and kind'],
  ['- a', 'a.yaml:1: is a list, expected an object with apiVersion and kind'],
  [
    'a: [',
    'a.yaml:1: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]; nothing of this document is read',
  ],
  ['a: *b', 'a.yaml:1: not YAML: the alias *b has no anchor; nothing of this document is read'],
])('%j', (text, message) => {
  expect(messages(text)).toEqual([message]);
});

test('a policy of an old API group is malformed, and isolates', () => {
  const text = 'apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: db}\nspec: {podSelector: {}}\n';
  expect(messages(text)).toEqual([
    'a.yaml:1: apiVersion: "extensions/v1beta1", expected networking.k8s.io/v1',
    isolated('ingress'),
  ]);
});

test.each([
  'apiVersion: v1\nkind: ConfigMap',
  'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role',
  'apiVersion: example.com/v1\nkind: Anything',
  'apiVersion: networking.k8s.io/v1\nkind: Ingress',
  'apiVersion: v1\nkind: List\nitems: []',
  '# nothing\n',
  '',
  '---\n---\n',
  '- {from: a, to: b:80, expect: allowed}\n',
])('nothing is said about %j', (text) => {
  expect(messages(text)).toEqual([]);
});

test('host bits are cleared, with a warning', () => {
  const text = `${policyHead}  ingress:\n    - from:\n        - ipBlock: {cidr: 10.1.2.3/8}\n`;
  expect(messages(text)).toEqual([
    'a.yaml:8: spec.ingress[0].from[0].ipBlock.cidr: warning: 10.1.2.3/8 has host bits set, it is read as 10.0.0.0/8',
  ]);
});

test('an exemption that cannot be read is none, and the pod stays', () => {
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {sluice.io/allowed-source-prefixes: "10.0.0.0/8, x"}}\n';
  expect(messages(text)).toEqual([
    'a.yaml:3: metadata.annotations.sluice.io/allowed-source-prefixes: warning: "x" is not a CIDR, expected CIDRs separated by commas; it exempts nothing',
  ]);
});
