/**
 * `node scripts/golden.ts [NAME...]`: writes what `render` prints beside a scenario, and, as root, what the kernel answers
 * once it is loaded. Look at its flows before you accept the text.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../src/backends/exec.ts';
import { loadAndSave } from '../test/kernel/saved-text.ts';
import { goldenTexts, loadScenario, scenarioNames, scenariosFolder } from '../test/scenario.ts';

if (process.env.CI !== undefined) throw new Error('golden files are not written in CI');
const isRoot = process.getuid?.() === 0;
const names = process.argv.length > 2 ? process.argv.slice(2) : scenarioNames;
for (const name of names) {
  const rendered = goldenTexts(await loadScenario(name));
  const saved = isRoot ? await savedTexts(rendered) : {};
  for (const [file, text] of Object.entries({ ...rendered, ...saved })) {
    writeFileSync(join(scenariosFolder, name, file), text);
  }
}
console.log(
  `wrote the golden files of ${names.length} scenarios${isRoot ? '' : ', without save.*.txt: they need root'}`,
);

/** In a network namespace of its own. */
async function savedTexts(rendered: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> {
  const netns = `sluice-golden-${process.pid}`;
  await run(['ip', 'netns', 'add', netns]);
  try {
    const { 'ipset.txt': ipSets = '', 'restore.v4.txt': ipv4 = '', 'restore.v6.txt': ipv6 = '' } = rendered;
    const inside: typeof run = (argv, options) => run(['ip', 'netns', 'exec', netns, ...argv], options);
    return await loadAndSave(inside, 'nft', { ipSets, ipv4, ipv6 });
  } finally {
    await run(['ip', 'netns', 'del', netns]);
  }
}
