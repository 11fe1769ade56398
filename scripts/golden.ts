/** `node scripts/golden.ts [NAME...]`: writes what `render` prints beside a scenario. Look at its flows before you accept the text. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenTexts, loadScenario, scenarioNames, scenariosFolder } from '../test/scenario.ts';

if (process.env.CI !== undefined) throw new Error('golden files are not written in CI');
const names = process.argv.length > 2 ? process.argv.slice(2) : scenarioNames;
for (const name of names) {
  const { state } = await loadScenario(name);
  for (const [file, text] of Object.entries(goldenTexts(state))) writeFileSync(join(scenariosFolder, name, file), text);
}
console.log(`wrote the golden files of ${names.length} scenarios`);
