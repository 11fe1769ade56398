/** Which UDP flows are stale: the cases that kube-proxy cleans, those that it misses, and what nobody may touch (kube-proxy.md 2.7). */
import { expect, test } from 'vitest';
import { isStaleFlow, mayLeaveFlows, type UdpFlow, udpFrontends, udpPortsOf } from '../../src/service/udp-flows.ts';
import { Bench, cidr, endpoint, ip, notReady, options, service, type ServiceShape, slice } from './fixtures.ts';

const dns: ServiceShape = {
  type: 'LoadBalancer',
  externalIps: ['5.6.7.8'],
  loadBalancerIps: ['1.2.3.4'],
  ports: [{ protocol: 'UDP', port: 53, nodePort: 30_053 }],
};
const ports = [{ name: '', protocol: 'UDP', port: 5353 }] as const;
const one = endpoint('10.0.0.1', 'here');
const two = endpoint('10.0.1.1');

function planned(shape: ServiceShape, endpoints = [one, two]) {
  const bench = new Bench().set(service('ns/dns', shape), slice('ns/dns', endpoints, { ports }));
  return udpPortsOf(bench.planned('ns/dns'));
}

/** `10.96.0.1:53 -> 10.0.0.1:5353` */
function flow(text: string): UdpFlow {
  const [from = '', to = ''] = text.split(' -> ');
  const [destination = '', destinationPort = ''] = from.split(':');
  const [server = '', serverPort = ''] = to.split(':');
  return {
    destination: ip(destination),
    destinationPort: Number(destinationPort),
    server: ip(server),
    serverPort: Number(serverPort),
  };
}

const rows: readonly (readonly [string, string, boolean])[] = [
  ['109: to an endpoint', '172.30.0.41:53 -> 10.0.0.1:5353', false],
  ['to one of another node', '172.30.0.41:53 -> 10.0.1.1:5353', false],
  ['105: to an endpoint that is gone', '172.30.0.41:53 -> 10.0.0.9:5353', true],
  ['107: to a target port of before', '172.30.0.41:53 -> 10.0.0.1:53', true],
  ['106: translated by nobody, so to nobody', '172.30.0.41:53 -> 172.30.0.41:53', true],
  ['by an external IP', '5.6.7.8:53 -> 10.0.0.9:5353', true],
  ['by a load balancer’s address', '1.2.3.4:53 -> 10.0.0.9:5353', true],
  ['by a nodePort', '192.168.0.2:30053 -> 10.0.0.9:5353', true],
  ['by a nodePort on localhost', '127.0.0.1:30053 -> 10.0.0.9:5353', true],
  ['the nodePort’s number on another machine', '198.51.100.7:30053 -> 198.51.100.7:30053', false],
  ['another port of the ClusterIP', '172.30.0.41:54 -> 172.30.0.41:54', false],
  ['straight to a pod', '10.0.0.9:5353 -> 10.0.0.9:5353', false],
];

test.each(rows)('%s: %s', (_, text, isStale) => {
  expect(isStaleFlow(flow(text), udpFrontends(planned(dns), options), new Set())).toBe(isStale);
});

test('110: nothing serves any more: every flow to the Service is stale', () => {
  const frontends = udpFrontends(planned(dns, []), options);
  expect(isStaleFlow(flow('172.30.0.41:53 -> 10.0.0.1:5353'), frontends, new Set())).toBe(true);
});

test('109: a terminating endpoint that serves keeps its flows; one that is not ready loses them', () => {
  const frontends = udpFrontends(
    planned(dns, [
      { ...one, ready: false, serving: true, terminating: true },
      { ...two, ...notReady },
    ]),
    options,
  );
  expect(isStaleFlow(flow('172.30.0.41:53 -> 10.0.0.1:5353'), frontends, new Set())).toBe(false);
  expect(isStaleFlow(flow('172.30.0.41:53 -> 10.0.1.1:5353'), frontends, new Set())).toBe(true);
});

test('a Service that is gone: what we translated is stale, what its address’s new owner gets is not', () => {
  const former = new Set(udpFrontends(planned(dns), options).keys());
  const isStale = (text: string) => isStaleFlow(flow(text), new Map(), former);
  expect(isStale('172.30.0.41:53 -> 10.0.0.1:5353')).toBe(true);
  expect(isStale('192.168.0.2:30053 -> 10.0.0.1:5353')).toBe(true);
  expect(isStale('192.168.0.2:30053 -> 192.168.0.2:30053')).toBe(false);
});

test('a nodePort that answers on chosen addresses is not the node’s own port elsewhere', () => {
  const chosen = { ...options, nodePortAddresses: [cidr('10.99.0.0/16')], nodeAddresses: [ip('192.168.0.2')] };
  const frontends = udpFrontends(planned(dns), chosen);
  expect([...frontends.keys()]).toEqual(['172.30.0.41:53', '5.6.7.8:53', '1.2.3.4:53']);
});

type Side = readonly [ServiceShape, (typeof one)[]];
const changes: readonly (readonly [string, Side, Side, boolean])[] = [
  ['nothing', [dns, [one]], [dns, [one]], false],
  ['nothing, of one that serves nobody', [dns, []], [dns, []], false],
  [
    'one address of two',
    [{ ...dns, externalIps: ['5.6.7.8', '5.6.7.9'] }, [one]],
    [{ ...dns, externalIps: ['5.6.7.8'] }, [one]],
    true,
  ],
  ['one endpoint more', [dns, [one]], [dns, [one, two]], false],
  ['the first endpoint', [dns, []], [dns, [one]], true],
  ['one endpoint less', [dns, [one, two]], [dns, [one]], true],
  ['one exchanged for another', [dns, [one]], [dns, [two]], true],
  ['the last one', [dns, [one]], [dns, []], true],
  [
    'another nodePort',
    [dns, [one]],
    [{ ...dns, ports: [{ protocol: 'UDP', port: 53, nodePort: 30_054 }] }, [one]],
    true,
  ],
  ['another address', [dns, [one]], [{ ...dns, externalIps: ['5.6.7.9'] }, [one]], true],
  ['one address more', [dns, [one]], [{ ...dns, externalIps: ['5.6.7.8', '5.6.7.9'] }, [one]], true],
  ['TCP in the place of UDP', [dns, [one]], [{ ...dns, ports: [{ port: 53 }] }, [one]], true],
];

test.each(changes)('a change that may leave flows behind: %s', (_, before, after, expected) => {
  expect(mayLeaveFlows(planned(...before), planned(...after), options)).toBe(expected);
});
