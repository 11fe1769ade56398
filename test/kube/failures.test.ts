import { describe, expect, test } from 'vitest';
import { Backoff } from '../../src/kube/backoff.ts';
import { connectionError, statusError } from '../../src/kube/failures.ts';
import { linesOf } from '../../src/kube/json-lines.ts';

test.each([
  [401, 'unauthorized'],
  [403, 'forbidden'],
  [404, 'absent'],
  [410, 'expired'],
  [429, 'failed'],
  [503, 'failed'],
])('status %i is %s', (status, failure) => {
  expect(statusError(status, 'why').failure).toBe(failure);
});

test.each([
  [{ header: '3' }, 3000],
  [{ details: 2 }, 2000],
  [{ header: '1', details: 9 }, 1000],
  [{ header: 'Wed, 21 Oct 2026 07:28:00 GMT' }, undefined],
  [{ header: '-1' }, undefined],
  [{}, undefined],
])('what is asked to wait: %j', (advice, milliseconds) => {
  expect(statusError(429, 'busy', advice).retryAfterMs).toBe(milliseconds);
});

test.each([
  ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate'],
  ['CERT_HAS_EXPIRED', 'certificate'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate'],
  ['ERR_OSSL_PEM_NO_START_LINE', 'certificate'],
  ['ECONNREFUSED', 'unreachable'],
  ['ECONNRESET', 'unreachable'],
])('%s is %s', (code, failure) => {
  const error = connectionError(Object.assign(new Error('what openssl says'), { code }), 'https://api:6443');
  expect(error.failure).toBe(failure);
  expect(error.message).toContain('https://api:6443: ');
});

describe('backoff', () => {
  test('grows to its limit, spread by half, and begins again after a success', () => {
    const backoff = new Backoff({ firstMs: 100, maxMs: 1000, random: () => 1 });
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.failed())).toEqual([100, 200, 400, 800, 1000, 1000]);
    backoff.succeeded();
    expect(backoff.attempt).toBe(0);
    expect(new Backoff({ firstMs: 100, maxMs: 1000, random: () => 0 }).failed()).toBe(50);
  });

  test('a thousand failures do not overflow', () => {
    const backoff = new Backoff({ firstMs: 100, maxMs: 1000, random: () => 1 });
    for (let round = 0; round < 2000; round += 1) backoff.failed();
    expect(backoff.failed()).toBe(1000);
  });
});

describe('lines', () => {
  const text = '{"a":"ü"}\n\n{"b":"🦫"}\n{"c":1}\nrest';

  test.each([1, 2, 3, 5, 1000])('in pieces of %i bytes', async (size) => {
    const bytes = Buffer.from(text);
    async function* pieces(): AsyncGenerator<Buffer> {
      for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
    }
    const lines: string[] = [];
    for await (const line of linesOf(pieces())) lines.push(line);
    expect(lines).toEqual(['{"a":"ü"}', '{"b":"🦫"}', '{"c":1}']);
  });
});
