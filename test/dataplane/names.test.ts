import { describe, expect, test } from 'vitest';
import {
  chainName,
  fromWorkloadChain,
  namedPortSetName,
  policyEgressChain,
  policyId,
  policyIngressChain,
  profileEgressChain,
  profileIngressChain,
  selectorSetName,
  setName,
  temporarySetName,
  toWorkloadChain,
  vethName,
} from '../../src/dataplane/names.ts';
import { felixVectors } from '../vectors/felix.ts';

interface NamingVectors {
  readonly endpoints: readonly { readonly iface: string; readonly tw: string; readonly fw: string }[];
  readonly profiles: readonly { readonly profile: string; readonly inChain: string; readonly outChain: string }[];
  readonly vethNames: readonly { readonly namespace: string; readonly pod: string; readonly iface: string }[];
  readonly fixedIPSets: readonly { readonly id: string; readonly v4: string; readonly v6: string }[];
  readonly tempIPSetsV4: readonly string[];
  readonly tempIPSetsV6: readonly string[];
}

const naming = felixVectors<NamingVectors>('naming.json');
const { policies } = felixVectors<{
  readonly policies: readonly { readonly policyID: string; readonly inChain: string; readonly outChain: string }[];
}>('naming-v3.28.5.json');
const selectors = felixVectors<{
  readonly selectors: readonly { readonly normalised: string; readonly v4Name: string; readonly v6Name: string }[];
  readonly namedPorts: readonly {
    readonly normalised: string;
    readonly protocolHashedAs: string;
    readonly port: string;
    readonly v4Name: string;
  }[];
}>('selectors.json');

describe("Felix's names", () => {
  test.each(policies)('policy $policyID', ({ policyID, inChain, outChain }) => {
    expect([policyIngressChain(policyID), policyEgressChain(policyID)]).toEqual([inChain, outChain]);
  });

  test.each(naming.profiles)('profile $profile', ({ profile, inChain, outChain }) => {
    expect([profileIngressChain(profile), profileEgressChain(profile)]).toEqual([inChain, outChain]);
  });

  test.each(naming.endpoints)('interface $iface', ({ iface, tw, fw }) => {
    expect([toWorkloadChain(iface), fromWorkloadChain(iface)]).toEqual([tw, fw]);
  });

  test.each(naming.vethNames)('veth of $namespace/$pod', ({ namespace, pod, iface }) => {
    expect(vethName(namespace, pod)).toBe(iface);
  });

  test.each(naming.fixedIPSets)('set $id', ({ id, v4, v6 }) => {
    expect([setName(id, 'ipv4'), setName(id, 'ipv6')]).toEqual([v4, v6]);
  });

  test('temporary sets', () => {
    expect([0, 1, 42].map((index) => temporarySetName(index, 'ipv4'))).toEqual(naming.tempIPSetsV4);
    expect(temporarySetName(0, 'ipv6')).toBe(naming.tempIPSetsV6[0]);
  });

  test.each(selectors.selectors)('set of $normalised', ({ normalised, v4Name, v6Name }) => {
    expect([selectorSetName(normalised, 'ipv4'), selectorSetName(normalised, 'ipv6')]).toEqual([v4Name, v6Name]);
  });

  test.each(selectors.namedPorts)('port $port/$protocolHashedAs of $normalised', (vector) => {
    expect(namedPortSetName(vector.normalised, vector.protocolHashedAs, vector.port, 'ipv4')).toBe(vector.v4Name);
  });

  test('there are vectors of every kind', () => {
    const counts = [
      policies,
      naming.profiles,
      naming.endpoints,
      naming.vethNames,
      selectors.selectors,
      selectors.namedPorts,
    ];
    expect(counts.filter(({ length }) => length < 5)).toEqual([]);
  });
});

test("the seed's names", () => {
  expect(policyIngressChain(policyId('default', 'allow-db-access'))).toBe('cali-pi-_tTE-E7yY40ogArNVgKt');
  expect(vethName('default', 'db-8d66ff5f7-bp6kf')).toBe('cali95aa86cbb2a');
});

test('a fixed name that the kernel would refuse is a bug, told at once', () => {
  expect(() => chainName('cali-'.padEnd(29, 'x'))).toThrow('longer than 28');
  expect(chainName('cali-'.padEnd(28, 'x'))).toHaveLength(28);
});
