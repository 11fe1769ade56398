/**
 * `npm run soak -- --minutes N [--seed S]`: a lab of three nodes under 20 changes a second of pods, labels, policies and Services. Prints
 * memory and latency as they go, and ends with `N passed, N failed, N skipped`, one test for each promise.
 */
import { parseArgs } from 'node:util';
import { whyNoKernel } from '../../bench/netns.ts';
import { testLab } from '../kernel/lab-fixture.ts';
import { fixedManifests, markerText, nodeNames } from './fixed-cluster.ts';
import { judgeSoak } from './judge-soak.ts';
import { Soak } from './soak.ts';
import { agentWarnings } from './warnings.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string' },
    rate: { type: 'string', default: '20' },
  },
});
const [minutes, rate] = [Number(values.minutes), Number(values.rate)];
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(minutes > 0) || !(rate > 0) || !Number.isInteger(seed)) {
  say('soak: expected --minutes N and --rate N above 0 and --seed S, an integer');
  process.exit(2);
}
const whyNot = whyNoKernel();
if (whyNot !== undefined) {
  say(`soak: ${whyNot}`);
  say('0 passed, 0 failed, 1 skipped');
  process.exit(3);
}
say(`soak: ${minutes} minutes, ${rate} changes a second, --seed ${seed}`);
const lab = await testLab(
  { 'fixed.yaml': fixedManifests, 'marker.yaml': markerText(true, 0) },
  { ipFamilies: ['ipv4', 'ipv6'] },
);
try {
  const soak = new Soak(lab, { seed, rate, say });
  const result = await soak.run(minutes * 60_000);
  for (const warning of await agentWarnings(lab.name, nodeNames)) say(`soak: warned: ${warning}`);
  const verdicts = await judgeSoak(result, lab.state, nodeNames);
  for (const { what, problem } of verdicts)
    say(`soak: ${problem === undefined ? 'ok    ' : 'FAILED'} ${what}${problem === undefined ? '' : `: ${problem}`}`);
  const failed = verdicts.filter(({ problem }) => problem !== undefined).length;
  say(`${verdicts.length - failed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed > 0 ? 1 : 0;
} finally {
  await lab.down();
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
