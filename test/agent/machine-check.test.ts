/** What a machine lacks is found by trying it, and a trial may be disturbed. */
import { expect, test } from 'vitest';
import { MachineCheck } from '../../src/agent/machine-check.ts';
import type { Run } from '../../src/backends/exec.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const scope = { variant: 'nft', families: ['ipv4', 'ipv6'], services: true, natOutgoing: true } as const;

/** Every program is there and says its version. */
function runOn(kernel: FakeKernel): Run {
  const version = { stdout: 'v1.8.9\n', stderr: '', durationMs: 1 };
  const asksVersion = /^(?:ip|bridge|conntrack) | (?:--)?version$/;
  return (argv, options) => (asksVersion.test(argv.join(' ')) ? Promise.resolve(version) : kernel.run(argv, options));
}

test('a program that is killed while it is tried is no lack of the machine', async () => {
  const kernel = new FakeKernel();
  for (let times = 0; times < 6; times += 1) kernel.failNext(/^iptables-nft-restore/);
  const check = new MachineCheck({ run: runOn(kernel), ...scope });
  check.start();
  await expect(check.result).resolves.toBeUndefined();
});

test('what fails each time is named', async () => {
  const kernel = new FakeKernel();
  for (let times = 0; times < 1000; times += 1) kernel.failNext(/^iptables-nft-restore/);
  const check = new MachineCheck({ run: runOn(kernel), ...scope });
  check.start();
  await expect(check.result).rejects.toThrow(/this machine lacks what Sluice needs: iptables match/);
});
