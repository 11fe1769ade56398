import { afterEach, expect, test } from 'vitest';
import { checkMachine } from '../../src/lab/machine.ts';

const path = process.env.PATH;

afterEach(() => {
  process.env.PATH = path;
});

test('what is missing is named, with its package, before anything is made', async () => {
  process.env.PATH = '/nowhere';
  const message = process.getuid?.() === 0 ? /program not found: ip \(Debian package iproute2\)/ : /needs root/;
  await expect(checkMachine()).rejects.toMatchObject({ problem: 'machine', message: expect.stringMatching(message) });
});
