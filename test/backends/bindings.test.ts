/** Which way leads to a pod: what one pod can make a node believe must not give it another one's way. */
import { describe, expect, test } from 'vitest';
import { findBindings, type NetworkView } from '../../src/backends/links/bindings.ts';
import type { Link } from '../../src/backends/links/ip-json.ts';
import type { EndpointBinding } from '../../src/dataplane/endpoint-binding.ts';
import { cidr, ip } from '../addresses.ts';

const link = (name: string, more: Partial<Link> = {}): Link => ({
  name,
  kind: 'veth',
  master: undefined,
  hairpin: false,
  ...more,
});
const route = (destination: string, device: string, hasGateway = false) => ({
  destination: cidr(destination),
  device,
  hasGateway,
});
const neighbour = (address: string, device: string, mac: string) => ({ address: ip(address), device, mac });

/** Two bridges with two ports each. */
const view: NetworkView = {
  links: [
    link('lo'),
    link('eth0'),
    link('br0', { kind: 'bridge' }),
    link('br1', { kind: 'bridge' }),
    ...['a0', 'b0'].map((name) => link(name, { master: 'br0' })),
    ...['a1', 'b1'].map((name) => link(name, { master: 'br1' })),
    link('vr1'),
  ],
  routes: [
    route('10.0.0.0/8', 'eth0', true),
    route('10.88.0.0/24', 'br0'),
    route('10.88.0.7/32', 'vr1'),
    route('10.88.1.0/24', 'br1'),
    route('10.99.0.1/32', 'lo'),
    route('10.99.0.2/32', 'gone'),
    route('fd00::/64', 'br0'),
  ],
  neighbours: [],
  forwarding: new Map(),
};

function bind(
  more: Partial<NetworkView>,
  addresses: readonly string[],
  known: Readonly<Record<string, EndpointBinding>> = {},
) {
  const before = new Map(Object.entries(known).map(([address, binding]) => [ip(address), binding]));
  return addresses.map((address) => findBindings(addresses.map(ip), { ...view, ...more }, before).get(ip(address)));
}

const at = (bridge: string, port?: string): EndpointBinding => ({
  kind: 'bridged',
  bridge,
  ...(port === undefined ? {} : { port }),
});

test('the longest route decides, in whatever order they are told', () => {
  for (const routes of [view.routes, view.routes.toReversed()]) {
    expect(bind({ routes }, ['10.88.0.7', '10.88.0.8', '10.77.0.1'])).toEqual([
      { kind: 'routed', interface: 'vr1' },
      at('br0'),
      undefined,
    ]);
  }
});

test('an address of the node’s own, one behind a device that is gone, and one without a route have none', () => {
  expect(bind({}, ['10.99.0.1', '10.99.0.2', '192.0.2.1'])).toEqual([undefined, undefined, undefined]);
});

describe('a port', () => {
  const forwarding = new Map([
    ['br0', [{ mac: 'm', port: 'a0' }]],
    ['br1', [{ mac: 'm', port: 'a1' }]],
  ]);

  test('is that of the bridge where the neighbour is: what is said on another bridge does not count', () => {
    const neighbours = [neighbour('10.88.1.5', 'br0', 'm')];
    expect(bind({ neighbours, forwarding }, ['10.88.1.5'])).toEqual([at('br1')]);
    expect(bind({ neighbours: [neighbour('10.88.1.5', 'br1', 'm')], forwarding }, ['10.88.1.5'])).toEqual([
      at('br1', 'a1'),
    ]);
  });

  test('must be one of this very bridge, when it is found and while it is kept', () => {
    const neighbours = [neighbour('10.88.0.5', 'br0', 'm')];
    const elsewhere = new Map([['br0', [{ mac: 'm', port: 'a1' }]]]);
    expect(bind({ neighbours, forwarding: elsewhere }, ['10.88.0.5'])).toEqual([at('br0')]);
    expect(bind({}, ['10.88.0.5'], { '10.88.0.5': at('br0', 'a1') })).toEqual([at('br0')]);
    expect(bind({}, ['10.88.0.5'], { '10.88.0.5': at('br1', 'a1') })).toEqual([at('br0')]);
    expect(bind({}, ['10.88.0.5'], { '10.88.0.5': at('br0', 'b0') })).toEqual([at('br0', 'b0')]);
  });

  test('is not known where nobody has seen the neighbour’s MAC at any', () => {
    const neighbours = [neighbour('10.88.0.5', 'br0', 'other')];
    expect(bind({ neighbours, forwarding }, ['10.88.0.5'])).toEqual([at('br0')]);
    expect(bind({ neighbours, forwarding: new Map() }, ['10.88.0.5'])).toEqual([at('br0')]);
    expect(bind({ forwarding }, ['10.88.0.5'])).toEqual([at('br0')]);
  });

  test('belongs to one address of each family: the pod’s other family is no thief', () => {
    const neighbours = ['10.88.0.5', 'fd00::5'].map((address) => neighbour(address, 'br0', 'm'));
    expect(bind({ neighbours, forwarding }, ['10.88.0.5', 'fd00::5'])).toEqual([at('br0', 'a0'), at('br0', 'a0')]);
  });

  test('that one keeps is not given to another that claims it now', () => {
    const neighbours = [neighbour('10.88.0.6', 'br0', 'm')];
    const known = { '10.88.0.5': at('br0', 'a0') };
    expect(bind({ neighbours, forwarding }, ['10.88.0.5', '10.88.0.6'], known)).toEqual([at('br0', 'a0'), at('br0')]);
  });
});
