/** Since when a pod is programmed as it is. */
import { expect, test } from 'vitest';
import { programmedNow } from '../../src/agent/endpoint-status.ts';
import type { Programmed } from '../../src/agent/endpoint-status.ts';
import type { BoundEndpoint } from '../../src/compile/bound-endpoint.ts';
import { pod } from '../policy/objects.ts';

const nothing: Programmed = { endpoints: new Map(), since: new Map(), refused: [] };

function bound(key: string, ingress: readonly string[] = []): BoundEndpoint {
  const binding = { kind: 'routed', interface: 'cali1' } as const;
  const shape = { key, pod: pod(key), ingress, egress: [], profiles: [] };
  return { ...shape, chainSuffix: 'cali1', interface: 'cali1', bindings: { ipv4: binding } };
}

function at(second: number): Date {
  return new Date(Date.UTC(2026, 0, 1, 0, 0, second));
}

function after(before: Programmed, endpoints: readonly BoundEndpoint[], second: number): Programmed {
  const byKey = new Map(endpoints.map((endpoint) => [endpoint.key, endpoint]));
  return { ...before, ...programmedNow(before, byKey, at(second)) };
}

test('a pod that stays as it is keeps its time, others get the new one, and what is gone is forgotten', () => {
  const first = after(nothing, [bound('a/x'), bound('a/y'), bound('a/z')], 1);
  const second = after(first, [bound('a/x'), bound('a/y', ['a/knp.default.p']), bound('a/new')], 2);
  expect([...second.since]).toEqual([
    ['a/x', at(1).toISOString()],
    ['a/y', at(2).toISOString()],
    ['a/new', at(2).toISOString()],
  ]);
  expect(after(second, [bound('a/z')], 3).since.get('a/z')).toBe(at(3).toISOString());
});
