import { describe, expect, test } from 'vitest';
import { renderChain } from '../../src/dataplane/render.ts';
import { renderEndpointChains } from '../../src/policy/endpoint-chains.ts';
import { renderProfileChains } from '../../src/policy/profile-chains.ts';
import { felixVectors, type VectorChain } from '../vectors/felix.ts';

interface EndpointVector {
  readonly name: string;
  readonly adminUp: boolean;
  readonly chains: readonly VectorChain[];
  readonly ingress: readonly string[] | null;
  readonly egress: readonly string[] | null;
  readonly profiles: readonly string[];
}

const vectors = felixVectors<{
  readonly endpoints: readonly EndpointVector[];
  readonly profileChains: readonly VectorChain[];
}>('endpoint-chains-v3.26.5.json');

test.each(vectors.endpoints.map((vector) => [vector.name, vector] as const))(
  '%s, as Felix 3.26 writes it',
  (_name, vector) => {
    const endpoint = {
      key: 'default/db',
      ingress: vector.ingress ?? [],
      egress: vector.egress ?? [],
      profiles: vector.profiles,
    };
    const options = { invalidDrop: true, ...(vector.adminUp ? {} : { disabled: true as const }) };
    const chains = renderEndpointChains(endpoint, 'cali95aa86cbb2a', options);
    expect(chains.map((chain) => ({ chain: chain.name, rules: renderChain(chain) }))).toEqual(
      vector.chains.map(({ chain, rules }) => ({ chain, rules })),
    );
  },
);

test('there are vectors', () => {
  expect(vectors.endpoints.map(({ name }) => name)).toContain('deny-all both directions');
  expect(vectors.profileChains).toHaveLength(4);
});

describe('INVALID packets', () => {
  const endpoint = { key: 'default/db', ingress: [], egress: [], profiles: ['kns.default'] };
  const texts = (invalidDrop: boolean) =>
    renderEndpointChains(endpoint, 'veth1', { invalidDrop }).map((chain) => renderChain(chain).join('\n'));

  test('are dropped where the administrator wants it', () => {
    expect(texts(true).every((text) => text.includes('--ctstate INVALID --jump DROP'))).toBe(true);
  });

  test('are judged like others where not', () => {
    expect(texts(false).some((text) => text.includes('INVALID'))).toBe(false);
  });
});

test.each(['kns.default', 'ksa.default.default'])('profile %s, as Felix 3.26 writes it', (profile) => {
  const wanted = vectors.profileChains.filter(({ chain }) => chain.endsWith(profile));
  const chains = renderProfileChains(profile).map((chain) => ({ chain: chain.name, rules: renderChain(chain) }));
  expect(wanted).toHaveLength(2);
  expect(chains).toEqual(expect.arrayContaining(wanted.map(({ chain, rules }) => ({ chain, rules }))));
});
