/** Entry: the command line. */
import { enableCompileCache, flushCompileCache } from 'node:module';
import { join } from 'node:path';

// Stripping types and compiling is most of a start, and 30 MB of an agent: done once, and kept where the packages are.
// Where that cannot be written, every start does it anew.
enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'sluice'));
// Node writes it at the end of a process; an agent has no end.
setTimeout(flushCompileCache, 5000).unref();

const { runCommandLine } = await import('./cli/run-command-line.ts');
const { labCommands } = await import('./cli/lab-commands.ts');
process.exitCode = await runCommandLine(process.argv.slice(2), labCommands);
