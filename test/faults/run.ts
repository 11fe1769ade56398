/**
 * `npm run faults -- [--minutes 10] [--seed S] [--cni ptp|bridge] [--variant nft|legacy]`: random faults in a lab, as root. Ends with
 * `N passed, N failed, N skipped`: rounds, and what was found.
 */
import { parseArgs } from 'node:util';
import { kernelSkipReason } from '../kernel/netns.ts';
import { runFaults } from './random-faults.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    cni: { type: 'string', default: 'ptp' },
    variant: { type: 'string', default: 'nft' },
  },
});
const seconds = Number(values.minutes) * 60;
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const { cni, variant } = values;
if (!(seconds > 0) || !Number.isInteger(seed) || !isCni(cni) || !isVariant(variant)) {
  say('faults: expected --minutes N above 0, --seed S, --cni ptp|bridge and --variant nft|legacy');
  process.exit(2);
}
if (kernelSkipReason !== undefined) {
  say(`faults: ${kernelSkipReason}`);
  process.exit(3);
}
say(`faults: ${values.minutes} minutes, --seed ${seed} --cni ${cni} --variant ${variant}`);
const started = Date.now();
const report = await runFaults({
  seconds,
  seed,
  cni,
  variant,
  say: (line) => say(`${((Date.now() - started) / 1000).toFixed(1).padStart(7)} s  ${line}`),
});
say(JSON.stringify(report, null, 2));
for (const problem of report.problems) say(`problem: ${problem} (--seed ${seed})`);
say(`${report.rounds} passed, ${report.problems.length} failed, 0 skipped`);
process.exit(report.problems.length === 0 ? 0 : 1);

function isCni(text: string): text is 'ptp' | 'bridge' {
  return text === 'ptp' || text === 'bridge';
}

function isVariant(text: string): text is 'nft' | 'legacy' {
  return text === 'nft' || text === 'legacy';
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
