/** Pods that speak to somebody outside the cluster do so with their node's address. */
import { describe, expect, test } from 'vitest';
import { ruleHashes } from '../../src/dataplane/hash.ts';
import { chainName, setName } from '../../src/dataplane/names.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { PacketFields } from '../../src/dataplane/trace/packet.ts';
import { packetOf } from '../../src/dataplane/trace/packet.ts';
import { NodeTracer } from '../../src/dataplane/trace/tracer.ts';
import { cidr, ip, pod } from '../policy/objects.ts';
import { endpoint, options as services, service, slice } from '../service/fixtures.ts';
import { nodeObject, routed, testNode } from './node.ts';

const pools = [cidr('10.9.0.0/16'), cidr('fd09::/48')];
const pods = [{ pod: pod('a/p', { ips: ['10.9.0.10', 'fd09::10'] }), binding: routed('vethp') }];
const options = { natOutgoing: pools };

function sourceSeen(fields: PacketFields, more: Parameters<typeof testNode>[2] = options): string {
  const { dataplane } = testNode(pods, [], more);
  const own = ['10.9.0.1', ...nodeObject.addresses];
  const tracer = new NodeTracer(dataplane, {
    isOwnAddress: (address) => own.includes(address),
    route: (address) => ({
      outInterface: 'eth0',
      sourceAddress: ip(address.includes(':') ? '2001:db8::1' : '192.0.2.1'),
    }),
  });
  const packet = packetOf({ destinationPort: 80, ...fields });
  const trace = fields.inInterface === undefined ? tracer.send(packet) : tracer.receive(packet);
  return `${trace.verdict} ${trace.packet.source}`;
}

const fromPod = { source: ip('10.9.0.10'), inInterface: 'vethp' };
const fromPod6 = { source: ip('fd09::10'), inInterface: 'vethp' };

describe('natOutgoing', () => {
  test.each<[string, PacketFields, string]>([
    ['pod to a machine outside', { ...fromPod, destination: ip('203.0.113.9') }, 'accept 192.0.2.1'],
    ['the same in IPv6', { ...fromPod6, destination: ip('2001:db8:9::9') }, 'accept 2001:db8::1'],
    ['pod to another node: it is outside the pools', { ...fromPod, destination: ip('192.0.2.2') }, 'accept 192.0.2.1'],
    ['pod to its own node', { ...fromPod, destination: ip('192.0.2.1') }, 'accept 10.9.0.10'],
    ['pod to a pod of another node', { ...fromPod, destination: ip('10.9.7.7') }, 'accept 10.9.0.10'],
    ['pod to a pod of another node, IPv6', { ...fromPod6, destination: ip('fd09:0:0:7::7') }, 'accept fd09::10'],
    [
      'outside to a pod',
      { source: ip('203.0.113.9'), inInterface: 'eth0', destination: ip('10.9.0.10') },
      'accept 203.0.113.9',
    ],
    ['the node itself', { source: ip('192.0.2.1'), destination: ip('203.0.113.9') }, 'accept 192.0.2.1'],
    [
      'an answer keeps its source',
      { ...fromPod, destination: ip('203.0.113.9'), state: 'ESTABLISHED' },
      'accept 10.9.0.10',
    ],
  ])('%s', (_, fields, expected) => {
    expect(sourceSeen(fields)).toBe(expected);
  });

  test('without it pods are seen outside as they are', () => {
    expect(sourceSeen({ ...fromPod, destination: ip('203.0.113.9') }, {})).toBe('accept 10.9.0.10');
  });

  test('a family without a pool is left alone', () => {
    const fields = { ...fromPod6, destination: ip('2001:db8:9::9') };
    expect(sourceSeen(fields, { natOutgoing: [cidr('10.9.0.0/16')] })).toBe('accept fd09::10');
  });

  test("chains, sets and ids are Calico's", () => {
    const { dataplane } = testNode(pods, [], options);
    const chain = dataplane.tables.ipv4.chains.nat.get(chainName('cali-nat-outgoing'));
    expect(chain === undefined ? [] : renderChain(chain)).toEqual([
      '-A cali-nat-outgoing -m comment --comment "cali:flqWnvo8yq4ULQLa" -m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst --jump MASQUERADE --random-fully',
    ]);
    const chain6 = dataplane.tables.ipv6.chains.nat.get(chainName('cali-nat-outgoing'));
    expect(ruleHashes('cali-nat-outgoing', chain6?.rules ?? [])).toHaveLength(1);
    for (const name of ['masq-ipam-pools', 'all-ipam-pools']) {
      expect([...(dataplane.ipSets.get(setName(name, 'ipv4'))?.members ?? [])]).toEqual(['10.9.0.0/16']);
      expect([...(dataplane.ipSets.get(setName(name, 'ipv6'))?.members ?? [])]).toEqual(['fd09::/48']);
    }
  });

  test('nothing of it is there without it', () => {
    const { dataplane } = testNode(pods);
    expect([...dataplane.tables.ipv4.chains.nat.keys()]).toEqual([]);
    expect(dataplane.tables.ipv4.hooks.filter(({ table }) => table === 'nat')).toEqual([]);
    expect([...dataplane.ipSets.keys()].filter((name) => name.includes('pools'))).toEqual([]);
  });

  test('it comes after KUBE-POSTROUTING, which takes its mark off', () => {
    const { dataplane } = testNode(pods, [], { ...options, services });
    const hooks = dataplane.tables.ipv4.hooks.filter(({ table, chain }) => table === 'nat' && chain === 'POSTROUTING');
    const order = hooks.toSorted((left, right) =>
      left.position === right.position ? 0 : left.position === 'first' ? -1 : 1,
    );
    expect(order.map(({ rule }) => ('chain' in rule.action ? rule.action.chain : ''))).toEqual([
      'KUBE-POSTROUTING',
      'cali-POSTROUTING',
    ]);
  });

  test('through a Service the pod behind it sees the pod, a machine outside the node', () => {
    const objects = [
      service('a/inside', { clusterIps: ['10.96.0.1'], ports: [{ port: 80 }] }),
      slice('a/inside', [endpoint('10.9.7.7')]),
      service('a/outside', { clusterIps: ['10.96.0.2'], ports: [{ port: 80 }] }),
      slice('a/outside', [endpoint('203.0.113.9')]),
    ];
    const { dataplane } = testNode(pods, objects, {
      ...options,
      services: { ...services, detector: { kind: 'localPods' } },
    });
    const tracer = new NodeTracer(dataplane, {
      isOwnAddress: (address) => nodeObject.addresses.some((own) => own === address),
      route: () => ({ outInterface: 'eth0', sourceAddress: ip('192.0.2.1') }),
    });
    const seen = ['10.96.0.1', '10.96.0.2'].map((address) => {
      const trace = tracer.receive(packetOf({ ...fromPod, destination: ip(address), destinationPort: 80 }));
      return `${trace.verdict} ${trace.packet.source} -> ${trace.packet.destination}`;
    });
    expect(seen).toEqual(['accept 10.9.0.10 -> 10.9.7.7', 'accept 192.0.2.1 -> 203.0.113.9']);
  });
});
