/** Entry of the node's image, bundled by scripts/bundle.ts: all commands but those of the lab. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Filled when the image is made, and read-only from then on.
enableCompileCache(join(import.meta.dirname, 'compile-cache'));

const { runCommandLine } = await import('./cli/run-command-line.ts');
process.exitCode = await runCommandLine(process.argv.slice(2), []);
