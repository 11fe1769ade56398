/** The short form of `npm run faults`: a minute of random faults; the seed is printed, so that what is found can be had again. */
import { expect, test } from 'vitest';
import { runFaults } from '../faults/random-faults.ts';
import { describeKernel } from './netns.ts';

describeKernel('random faults', () => {
  test.each([
    { cni: 'ptp', variant: 'nft', seconds: 45 },
    { cni: 'bridge', variant: 'legacy', seconds: 25 },
  ] as const)(
    '$cni, iptables-$variant: no wrong packet, everything mended, the end as from a fresh start',
    async (choice) => {
      const seed = Number(process.env['SLUICE_FAULT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
      process.stdout.write(`random faults: --seed ${seed} --cni ${choice.cni} --variant ${choice.variant}\n`);
      const done: string[] = [];
      const { problems, rounds, packets } = await runFaults({ ...choice, seed, say: (line) => void done.push(line) });
      if (problems.length > 0) process.stdout.write(`random faults: ${done.join(', ')}\n`);
      expect({ seed, problems }).toEqual({ seed, problems: [] });
      expect(rounds).toBeGreaterThan(0);
      expect(packets).toBeGreaterThan(50);
    },
    600_000,
  );
});
