import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { attach, CommandError, run, spawnProcess, streamLines } from '../../src/backends/exec.ts';

test('output, input and errors of a program come back as they are', async () => {
  const { stdout } = await run(['cat'], { input: 'one\ntwo\n' });
  expect(stdout).toBe('one\ntwo\n');
});

test('arguments reach the program as they are: there is no shell', async () => {
  const { stdout } = await run(['printf', '%s', '$(id); a  b *']);
  expect(stdout).toBe('$(id); a  b *');
});

test('a failure names program, exit code and what it said', async () => {
  const error = await run(['ls', '/nonexistent-sluice']).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(CommandError);
  expect(error).toMatchObject({ exitCode: 2, isMissing: false, isLockContention: false, timedOut: false });
  expect(String(error)).toContain('nonexistent-sluice');
});

test('a program that is not there is told from one that failed', async () => {
  await expect(run(['sluice-no-such-program'])).rejects.toMatchObject({ isMissing: true, message: /not found/ });
});

test('a program that this user may not run is as good as missing, and says so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-exec-'));
  const program = join(folder, 'not-executable');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o644 });
  await expect(run([program])).rejects.toMatchObject({ isMissing: true, message: /or this user may not run it/ });
  rmSync(folder, { recursive: true });
});

test('a program that hangs is ended', async () => {
  await expect(run(['sleep', '30'], { timeoutMs: 100 })).rejects.toMatchObject({ timedOut: true });
});

test('a lock held by another process is told from a refusal', () => {
  const lock = { argv: ['iptables-legacy-restore'] as const, exitCode: 4 };
  expect(
    new CommandError({ ...lock, stderr: 'Another app is currently holding the xtables lock' }).isLockContention,
  ).toBe(true);
  expect(new CommandError({ ...lock, stderr: 'line 3: RULE_APPEND failed' }).isLockContention).toBe(false);
});

test('lines arrive one by one, and a monitor that ends by itself is an error', async () => {
  const seen: string[] = [];
  const reading = (async () => {
    for await (const line of streamLines(['printf', 'a\nb\n'], new AbortController().signal)) seen.push(line);
  })();
  await expect(reading).rejects.toBeInstanceOf(CommandError);
  expect(seen).toEqual(['a', 'b']);
});

test('aborting ends a monitor without an error', async () => {
  const controller = new AbortController();
  const seen: string[] = [];
  for await (const line of streamLines(['sh', '-c', 'echo up; exec sleep 30'], controller.signal)) {
    seen.push(line);
    controller.abort();
  }
  expect(seen).toEqual(['up']);
});

test('a spawned program can be ended, and tells how', async () => {
  const child = spawnProcess(['sleep', '30'], { stdout: 'ignore', stderr: 'ignore' });
  expect(child.pid).toBeGreaterThan(0);
  expect(child.kill()).toBe(true);
  expect(await child.exited).toEqual({ signal: 'SIGTERM' });
});

test('a spawned Node program can send messages', async () => {
  const child = spawnProcess([process.execPath, '-e', 'process.send({ ready: true }); process.disconnect()'], {
    stdout: 'ignore',
    stderr: 'ignore',
    ipc: true,
  });
  const message = await new Promise((resolve) => {
    child.onMessage(resolve);
  });
  expect(message).toEqual({ ready: true });
  expect(await child.exited).toEqual({ exitCode: 0 });
});

test('starting a program that is not there throws at once', () => {
  expect(() => spawnProcess(['sluice-no-such-program'])).toThrow(/not found/);
});

test('a detached program writes to the file it was given by itself, also after we are gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-exec-'));
  const log = join(folder, 'log');
  const child = spawnProcess(['sh', '-c', 'echo "$GREETING" from $PWD; readlink /proc/$$/fd/1'], {
    stdout: { file: log },
    stderr: { file: log },
    env: { GREETING: 'hello' },
    cwd: folder,
    detached: true,
  });
  await child.exited;
  expect(readFileSync(log, 'utf8')).toBe(`hello from ${folder}\n${log}\n`);
  rmSync(folder, { recursive: true });
});

test('a program on our own terminal answers with its exit code, or with the signal that ended it', async () => {
  expect(await attach(['sh', '-c', 'exit 7'])).toBe(7);
  expect(await attach(['sh', '-c', 'kill -TERM $$'])).toBe(143);
});
