/** What an agent tells of itself, made into what other nodes' agents would be told. */
import { expect, test } from 'vitest';
import { loadModel, optionsElsewhere } from '../../src/cli/model.ts';
import { travel } from '../../src/explain/journey.ts';
import { clusterOf, cidr, ip, node } from '../lab/cluster.ts';
import { options as services } from '../service/fixtures.ts';
import { options } from '../explain/cluster-fixture.ts';

const state = clusterOf(node('a', ['192.0.2.1'], ['10.1.0.0/24']), node('b', ['192.0.2.2'], ['10.1.1.0/24']));
const own = { ...options, nodeName: 'a', services: { ...services, nodeName: 'a', masqueradeAll: true } };
const facts = { bindings: new Map(), nodeAddresses: [ip('192.0.2.2')], conntrackLiberal: false };

test('its own node keeps its settings', () => {
  expect(optionsElsewhere(own, state, 'a', facts)).toEqual(own);
});

test('another node has its own name, addresses and networks, and the same choices', () => {
  const detector = { kind: 'nodeCidr', cidrs: [cidr('10.1.0.0/24')] } as const;
  const elsewhere = optionsElsewhere({ ...own, services: { ...own.services, detector } }, state, 'b', facts);
  expect(elsewhere).toMatchObject({
    nodeName: 'b',
    services: {
      nodeName: 'b',
      nodeAddresses: ['192.0.2.2'],
      masqueradeAll: true,
      detector: { kind: 'nodeCidr', cidrs: [{ address: '10.1.1.0', prefixLength: 24 }] },
    },
  });
});

test('nodePorts at the addresses of the Node alone are at those of the other Node there', () => {
  const nodePortAddresses = [cidr('192.0.2.1/32'), cidr('10.0.0.0/8')];
  const elsewhere = optionsElsewhere({ ...own, services: { ...own.services, nodePortAddresses } }, state, 'b', facts);
  expect(elsewhere.services?.nodePortAddresses).toEqual([cidr('192.0.2.2/32'), cidr('10.0.0.0/8')]);
});

test.each([
  ['manifests: as in a lab, pods send to the first address of their network', true, ['192.0.2.1', '10.1.0.1']],
  ['an API server: nothing is known of the wiring', false, ['192.0.2.1']],
])('%s', async (_, isLab, addresses) => {
  const model = await loadModel({ state, diagnostics: [], isLab });
  expect(model.node('a').addresses).toEqual(addresses);
});

test.each([
  ['manifests: an address that no Service has is nobody’s, as in a lab', true, 'lost'],
  ['an API server without ServiceCIDRs: it may be anybody’s', false, 'delivered'],
])('%s', async (_, isLab, expected) => {
  const model = await loadModel({ state, diagnostics: [], isLab });
  const from = { kind: 'node', node: 'a', address: ip('192.0.2.1') } as const;
  expect(travel(model, { from, to: ip('10.96.1.1'), port: 80, protocol: 'TCP' }).outcome.kind).toBe(expected);
});
