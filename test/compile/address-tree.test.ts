import { describe, expect, test } from 'vitest';
import { addressChains } from '../../src/compile/base/address-tree.ts';
import { chainName } from '../../src/dataplane/names.ts';
import type { Chain, Rule } from '../../src/dataplane/rule.ts';
import { bitsOf, cidrContains, cidrOf, familyOf, formatCidr, type IpAddress, ipFromInteger } from '../../src/lib/ip.ts';
import { ip } from '../policy/objects.ts';

const tree = { root: chainName('cali-to-wl-address'), side: 'destination', bucketPrefix: 'cali-to-' } as const;

function leaf(address: IpAddress): { address: IpAddress; rule: Rule } {
  const cidr = cidrOf(address, bitsOf(familyOf(address)));
  const matches = [{ kind: 'address', side: 'destination', cidr } as const];
  return { address, rule: { matches, action: { kind: 'accept' }, comments: [], origin: {} } };
}

function chainsOf(addresses: readonly IpAddress[]): readonly Chain[] {
  return addressChains(tree, addresses.map(leaf));
}

/** How many rules are asked, and whether the address is found. */
function walk(chains: readonly Chain[], address: IpAddress): { asked: number; found: boolean } {
  let chain = chains.find(({ name }) => name === tree.root);
  let asked = 0;
  while (chain !== undefined) {
    const hit = chain.rules.findIndex(({ matches }) =>
      matches.every((match) => match.kind === 'address' && cidrContains(match.cidr, address)),
    );
    asked += hit < 0 ? chain.rules.length : hit + 1;
    const action = chain.rules[hit]?.action;
    if (action?.kind === 'accept') return { asked, found: true };
    chain = action?.kind === 'goto' ? chains.find(({ name }) => name === action.chain) : undefined;
  }
  return { asked, found: false };
}

const many = (first: string, count: number, step = 1n): readonly IpAddress[] =>
  Array.from({ length: count }, (_, index) =>
    ipFromInteger(BigInt(index) * step + numberOf(ip(first)), familyOf(ip(first))),
  );

function numberOf(address: IpAddress): bigint {
  return familyOf(address) === 'ipv4'
    ? address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n)
    : BigInt(`0x${address.replace('fd00::', '').padStart(4, '0')}`) + (0xfd00n << 112n);
}

test('a few pods are asked one after the other', () => {
  const chains = chainsOf(many('10.88.0.2', 8));
  expect(chains).toHaveLength(1);
  expect(chains[0]?.rules).toHaveLength(8);
});

describe.each([
  ['a full /24', many('10.88.0.2', 250)],
  ['two networks', [...many('10.88.0.2', 60), ...many('10.99.7.2', 60)]],
  ['addresses far apart', many('10.0.0.1', 100, 65_537n)],
  ['IPv6, one after the other', many('fd00::2', 250)],
])('%s', (_name, addresses) => {
  const chains = chainsOf(addresses);

  test('every pod is found, after a few rules', () => {
    const walks = addresses.map((address) => walk(chains, address));
    expect(walks.every(({ found }) => found)).toBe(true);
    expect(Math.max(...walks.map(({ asked }) => asked))).toBeLessThanOrEqual(48);
  });

  test('chain names are short enough and unique', () => {
    expect(new Set(chains.map(({ name }) => name)).size).toBe(chains.length);
    expect(chains.every(({ name }) => name.length <= 28)).toBe(true);
  });
});

test('an address of no pod is not found', () => {
  expect(walk(chainsOf(many('10.88.0.2', 100)), ip('10.88.0.200')).found).toBe(false);
});

test('a part is named after its network', () => {
  const names = chainsOf(many('10.88.0.2', 100)).map(({ name }) => name);
  expect(names).toContain(`cali-to-${formatCidr(cidrOf(ip('10.88.0.16'), 28))}`);
});
