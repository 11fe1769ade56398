/** What an endpoint's chain says of itself without making its rules. */
import { expect, test } from 'vitest';
import { ChainShapes } from '../../src/dataplane/pieces.ts';
import { EndpointChain } from '../../src/service/endpoint-chain.ts';
import { ip } from './fixtures.ts';

const origin = { note: 'a test' };

test.each([true, false])('its shape is that of its rules (affinity: %s)', (hasAffinity) => {
  const text = {
    servicePortName: 'ns1/svc1:p80',
    protocol: 'TCP',
    hasAffinity,
    hairpin: { origin },
    dnat: { origin },
  } as const;
  const chain = new EndpointChain(text, ip('10.180.0.1'), 80);
  const { name, style, rules } = chain;
  expect(chain.shape).toEqual(new ChainShapes().of({ name, style, rules }));
});
