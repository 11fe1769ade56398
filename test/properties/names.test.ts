import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addressBucketChain,
  fromWorkloadChain,
  namedPortSetName,
  policyEgressChain,
  policyId,
  policyIngressChain,
  profileIngressChain,
  selectorSetName,
  sourceCheckChain,
  toWorkloadChain,
  vethName,
} from '../../src/dataplane/names.ts';
import { cidrOf, ipFromInteger } from '../../src/lib/ip.ts';

/** What the API server accepts as a name, up to its longest. */
const objectName = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?$/);
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
const id = fc.tuple(label, objectName).map(([namespace, name]) => policyId(namespace, name));
const anyText = fc.oneof(id, fc.string(), fc.stringMatching(/^_[\w-]{0,20}$/));

test('chain names fit, and different ids have different names', () => {
  const names = [
    policyIngressChain,
    policyEgressChain,
    profileIngressChain,
    toWorkloadChain,
    fromWorkloadChain,
    sourceCheckChain,
  ];
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.uniqueArray(anyText, { minLength: 2, maxLength: 8 }), (nameOf, ids) => {
      const made = ids.map((one) => nameOf(one));
      expect(made.filter((name) => name.length > 28)).toEqual([]);
      // An empty id is written as `_`, so those two alone are one.
      expect(new Set(made).size).toBe(new Set(ids.map((one) => one || '_')).size);
    }),
  );
});

test('the chains of parts of an address dispatch fit, and different networks have different names', () => {
  const network = fc.oneof(
    fc
      .tuple(fc.bigInt(0n, 2n ** 32n - 1n), fc.integer({ min: 4, max: 32 }))
      .map(([value, bits]) => cidrOf(ipFromInteger(value, 'ipv4'), bits)),
    fc
      .tuple(fc.bigInt(0n, 2n ** 128n - 1n), fc.integer({ min: 4, max: 128 }))
      .map(([value, bits]) => cidrOf(ipFromInteger(value, 'ipv6'), bits)),
  );
  const selector = (cidr: ReturnType<typeof cidrOf>) => `${cidr.address}/${cidr.prefixLength}`;
  fc.assert(
    fc.property(fc.uniqueArray(network, { minLength: 2, maxLength: 20, selector }), (networks) => {
      for (const prefix of ['cali-to-', 'cali-from-', 'cali-self-'] as const) {
        const made = networks.map((cidr) => addressBucketChain(prefix, cidr));
        expect(new Set(made).size).toBe(networks.length);
        expect(made.every((name) => name.length <= 28)).toBe(true);
      }
    }),
  );
});

test('set names fit, and different selectors have different names', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { minLength: 2, maxLength: 8 }), label, (selectors, port) => {
      const made = selectors.flatMap((selector) => [
        selectorSetName(selector, 'ipv4'),
        selectorSetName(selector, 'ipv6'),
        namedPortSetName(selector, 'tcp', port, 'ipv4'),
        namedPortSetName(selector, 'udp', port, 'ipv4'),
      ]);
      expect(new Set(made).size).toBe(4 * selectors.length);
      expect(made.every((name) => name.length <= 31)).toBe(true);
    }),
  );
});

test('interface names are what the kernel takes', () => {
  fc.assert(
    fc.property(label, objectName, (namespace, pod) => {
      expect(vethName(namespace, pod)).toMatch(/^cali[0-9a-f]{11}$/);
    }),
  );
});
