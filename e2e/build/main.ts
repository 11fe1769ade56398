/** `node e2e/build/main.ts [PROGRAM...]`: builds programs of the e2e cluster (default: all) and prints where they are. */
import { messageOf, MachineError } from './machine.ts';
import { binary, buildAll } from './build.ts';
import { isProgramName, recipes } from './recipes.ts';

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !isProgramName(name));
if (unknown.length > 0) {
  console.error(`e2e build: no such program: ${unknown.join(', ')}; there are ${Object.keys(recipes).join(' ')}`);
  process.exit(2);
}
const names = (asked.length === 0 ? Object.keys(recipes) : asked).filter(isProgramName);
try {
  await buildAll(names, console.error);
  for (const name of names) console.log(`${name} ${binary(name)}`);
} catch (error) {
  console.error(`e2e build: ${messageOf(error)}`);
  process.exitCode = error instanceof MachineError ? 3 : 1;
}
